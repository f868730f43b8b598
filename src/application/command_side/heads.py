"""Where a stream stands: its state, version and last position; read from the log, and kept in a bounded cache.

The cache is droppable and never believed over the log: only an append may rest on it, because the log's keys check it.
"""

import asyncio
import logging
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from application.command_side.snapshotting import Snapshotting, StoredState
from application.envelopes import Commit
from application.log_order import require_next
from application.ports.event_codec import EventCodec
from application.ports.event_store import EventStore
from domain.ids import PostId
from domain.post import INITIAL, LivePost, PostState, evolve

logger = logging.getLogger(__name__)

_COMMITS_A_READ = 1_000
_EVENTS_AT_ONCE = 200
"""More are folded in a thread, so that other requests are answered meanwhile."""

_LONG_LOADS = 2
"""Long streams that are read at the same time: more would only take longer, each with its state in memory."""

_HEAD_BYTES = 500
_ENTRY_BYTES = 100
_COMMENT_BYTES = 150
"""What a head, a liker and a comment take beside their texts, about (measured with tracemalloc)."""

_SAMPLE = 16
"""Names and comments that are weighed; the others are taken to weigh as much. A map's order is that of hashes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """The state after the stream's event `version`, whose commit stands at `position` (0, 0, "" before the first)."""

    state: PostState
    version: int
    position: int
    commit_id: str

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        state = self.state
        if not isinstance(state, LivePost):
            return _HEAD_BYTES
        names = [sys.getsizeof(name) + _ENTRY_BYTES for name in islice(state.likers, _SAMPLE)]
        comments = [
            sys.getsizeof(comment.text) + sys.getsizeof(comment.username) + sys.getsizeof(key) + _COMMENT_BYTES
            for key, comment in islice(state.comments.items(), _SAMPLE)
        ]
        return (
            _HEAD_BYTES
            + sys.getsizeof(state.message)
            + _of_all(names, len(state.likers))
            + _of_all(comments, len(state.comments))
        )


NOTHING = Head(INITIAL, 0, 0, "")


def _of_all(sample: Sequence[int], count: int) -> int:
    return sum(sample) * count // len(sample) if sample else 0


class HeadCache:
    """The most recently used heads, bounded by how many they are and by the memory that they take together, about. The
    newest one always stays: a command on a post that is larger than the whole cache must not read it each time."""

    def __init__(self, max_bytes: int, max_heads: int) -> None:
        self._max_bytes = max_bytes
        self._max_heads = max_heads
        self._heads: OrderedDict[PostId, tuple[Head, int]] = OrderedDict()
        self._bytes = 0

    def get(self, post_id: PostId) -> Head | None:
        if post_id not in self._heads:
            return None
        self._heads.move_to_end(post_id)
        return self._heads[post_id][0]

    def put(self, post_id: PostId, head: Head) -> None:
        self.drop(post_id)
        size = head.bytes
        self._heads[post_id] = (head, size)
        self._bytes += size
        while (self._bytes > self._max_bytes or len(self._heads) > self._max_heads) and len(self._heads) > 1:
            self._bytes -= self._heads.popitem(last=False)[1][1]

    def drop(self, post_id: PostId) -> None:
        if post_id in self._heads:
            self._bytes -= self._heads.pop(post_id)[1]


class HeadReader:
    """Reads heads from the log, beginning at a stored snapshot where there is a usable one."""

    def __init__(self, store: EventStore, codec: EventCodec, snapshotting: Snapshotting) -> None:
        self._store = store
        self._codec = codec
        self._snapshotting = snapshotting
        self._long_loads = asyncio.Semaphore(_LONG_LOADS)

    async def read(self, post_id: PostId) -> Head:
        """The head as the log has it now. What took long to read is stored as a snapshot. Raises `StoreUnavailable`,
        `EventNotReadable`, `StreamDamaged`."""
        start = await self._snapshotting.load(post_id)
        if start is not None and not await self._store.holds(post_id, start.version, start.position, start.commit_id):
            logger.warning(
                "ignored a snapshot of %s at version %d, which the log does not have so", post_id, start.version
            )
            start = None
        head = Head(start.state, start.version, start.position, start.commit_id) if start else NOTHING
        commits = await self._store.read_stream(post_id, head.version, _COMMITS_A_READ)
        if not _is_long(commits):
            return await self._read_on(post_id, head, commits)
        async with self._long_loads:
            return await self._read_on(post_id, head, commits)

    async def _read_on(self, post_id: PostId, start: Head, commits: Sequence[Commit]) -> Head:
        """What was read until the store went away is stored as a snapshot, too: the next one goes on from there."""
        head = start
        try:
            while commits:
                if _is_long(commits):
                    head = await asyncio.to_thread(self._folded, head, commits)
                else:
                    head = self._folded(head, commits)
                commits = await self._store.read_stream(post_id, head.version, _COMMITS_A_READ)
        finally:
            stored = StoredState(head.state, head.version, head.position, head.commit_id)
            self._snapshotting.consider(post_id, start.version, stored)
        return head

    def _folded(self, head: Head, commits: Sequence[Commit]) -> Head:
        for commit in commits:
            require_next(commit, head.version)
            state = head.state
            for versioned in self._codec.decode(commit):
                state = evolve(state, versioned.event)
            head = Head(state, commit.last_version, commit.position, commit.commit_id)
        return head


def _is_long(commits: Sequence[Commit]) -> bool:
    return sum(len(commit.events) for commit in commits) > _EVENTS_AT_ONCE
