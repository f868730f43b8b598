"""Snapshots: the states of long streams, stored every N events off the critical path; a large state more seldom, so
that what is written grows with the events and not with their square.

A cache: stamped with a format that changes with the state's shape, the events and their upcasters; what has another
format or can't be read is ignored. A snapshot that fails to be stored costs time later and nothing else.

Where a stream stands: its state, version and last position; read from the log, and kept in a bounded cache.

The cache is droppable and never believed over the log: only an append may rest on it, because the log's keys check it.
"""

import asyncio
import hashlib
import json
import logging
import sys
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from application.envelopes import Commit
from application.errors import Unavailable
from application.log_order import require_next
from application.ports.event_codec import EventCodec
from application.ports.event_store import EventStore, Snapshot, Snapshots
from application.ports.system import Metrics
from domain.event_types import CURRENT
from domain.ids import CommentId, PostId
from domain.persistent_map import PersistentMap
from domain.post import INITIAL, Comment, LivePost, NoPost, PostState, RemovedPost, evolve
from domain.upcasters import CHAIN
from domain.upcasting import EventKey

logger = logging.getLogger(__name__)

_STATE_SHAPE = 2
"""Raise it when the meaning of a field below, `evolve`, or what an upcaster does changes."""

_MAX_BYTES = 256_000_000
"""Compressed. Larger ones are not stored."""

_LARGE = 16
"""While a state has more than 16 entries for each event between two snapshots, the distance doubles."""

_ENTRIES_A_LINE = 5_000
"""No single step of encoding or decoding keeps the interpreter for longer than these take."""


def format_of(event_types: Sequence[EventKey], steps: Sequence[tuple[EventKey, ...]]) -> str:
    """Names what a stored state depends on."""
    return hashlib.sha256(repr((_STATE_SHAPE, list(event_types), list(steps))).encode()).hexdigest()[:16]


FORMAT = format_of(
    [(event_type.name, event_type.schema_version) for event_type in CURRENT],
    [step.consumes + step.produces for step in CHAIN.steps],
)


@dataclass(frozen=True, slots=True)
class StoredState:
    """The state after `version`; its commit is needed to find out whether that still stands in the log."""

    state: PostState
    version: int
    position: int
    commit_id: str


class Snapshotting:
    """`every` is the distance in events between two snapshots of a stream with a small state; 0 switches them off."""

    def __init__(self, snapshots: Snapshots, metrics: Metrics, every: int) -> None:
        self._snapshots = snapshots
        self._metrics = metrics
        self._every = every
        self._under_way: dict[PostId, asyncio.Task[None]] = {}

    async def load(self, post_id: PostId) -> StoredState | None:
        """The newest usable one. An unreadable one is no error."""
        if not self._every:
            return None
        snapshot = await self._snapshots.load(post_id)
        if snapshot is None or snapshot.format != FORMAT:
            return None
        try:
            state, commit_id = await asyncio.to_thread(decode_state, snapshot.state)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            logger.warning("ignored an unreadable snapshot of %s: %s", post_id, error)
            return None
        return StoredState(state, snapshot.version, snapshot.position, commit_id)

    def consider(self, post_id: PostId, before: int, stored: StoredState) -> None:
        """Store a snapshot in the background if the stream passed a multiple of the distance since version `before`."""
        if not self._every or post_id in self._under_way:
            return
        distance = distance_of(stored.state, self._every)
        if before // distance == stored.version // distance:
            return
        task = asyncio.create_task(self._store(post_id, stored), name=f"snapshot-{post_id}")
        self._under_way[post_id] = task
        task.add_done_callback(lambda _: self._under_way.pop(post_id, None))

    async def drain(self) -> None:
        """Return when no snapshot is under way."""
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    async def _store(self, post_id: PostId, stored: StoredState) -> None:
        state = await asyncio.to_thread(encode_state, stored.state, stored.commit_id)
        if len(state) > _MAX_BYTES:
            self._metrics.count("snapshots_too_large")
            return
        try:
            await self._snapshots.store(
                Snapshot(
                    stream_id=post_id, version=stored.version, position=stored.position, format=FORMAT, state=state
                )
            )
        except Unavailable as error:
            self._metrics.count("snapshots_failed")
            logger.warning("could not store a snapshot of %s: %s", post_id, error.message)
        else:
            self._metrics.count("snapshots_stored")


def distance_of(state: PostState, every: int) -> int:
    """Events between two snapshots. Replaying them takes a few seconds at most, and encoding the state costs each of
    them at most that of 32 entries."""
    entries = len(state.likers) + len(state.comments) if isinstance(state, LivePost) else 0
    return every << max(0, (entries // (_LARGE * every)).bit_length() - 1)


def encode_state(state: PostState, commit_id: str) -> bytes:
    """Lines of JSON, compressed: the id of the commit after which the state is this, what it is, then its likers and
    comments in parts."""
    compressor = zlib.compressobj(level=1)
    lines = chain([{"commit": commit_id}], _lines(state))
    parts = [compressor.compress(json.dumps(line, ensure_ascii=False).encode() + b"\n") for line in lines]
    return b"".join([*parts, compressor.flush()])


def _lines(state: PostState) -> Iterator[dict[str, Any]]:
    match state:
        case NoPost():
            yield {"is": "nothing"}
        case RemovedPost():
            yield {"is": "removed"}
        case LivePost():
            likers, comments = iter(state.likers), state.comments.items()
            yield {"is": "live", "author": state.author, "message": state.message}
            while names := list(islice(likers, _ENTRIES_A_LINE)):
                yield {"likers": names}
            while some := list(islice(comments, _ENTRIES_A_LINE)):
                yield {"comments": [[key, comment.text, comment.username] for key, comment in some]}


def decode_state(stored: bytes) -> tuple[PostState, str]:
    """The state, and the id of its commit."""
    commit, first, *more = map(json.loads, zlib.decompress(stored).splitlines())
    return _state_of(first, more), commit["commit"]


def _state_of(plain: dict[str, Any], more: Sequence[dict[str, Any]]) -> PostState:
    match plain["is"]:
        case "nothing":
            return NoPost()
        case "removed":
            return RemovedPost()
        case "live":
            likers: dict[str, bool] = {}
            comments: dict[CommentId, Comment] = {}
            for line in more:
                likers |= dict.fromkeys(line.get("likers", ()), True)
                comments |= {CommentId(k): Comment(text=t, username=u) for k, t, u in line.get("comments", ())}
            return LivePost(
                author=plain["author"],
                message=plain["message"],
                likers=PersistentMap.of(likers),
                comments=PersistentMap.of(comments),
            )
        case other:
            raise ValueError(f"unknown kind of state {other!r}")


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


@dataclass(frozen=True, slots=True)
class StreamState:
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


NOTHING = StreamState(INITIAL, 0, 0, "")


def _of_all(sample: Sequence[int], count: int) -> int:
    return sum(sample) * count // len(sample) if sample else 0


class StateCache:
    """The most recently used heads, bounded by how many they are and by the memory that they take together, about. The
    newest one always stays: a command on a post that is larger than the whole cache must not read it each time."""

    def __init__(self, max_bytes: int, max_heads: int) -> None:
        self._max_bytes = max_bytes
        self._max_heads = max_heads
        self._heads: OrderedDict[PostId, tuple[StreamState, int]] = OrderedDict()
        self._bytes = 0

    def get(self, post_id: PostId) -> StreamState | None:
        if post_id not in self._heads:
            return None
        self._heads.move_to_end(post_id)
        return self._heads[post_id][0]

    def put(self, post_id: PostId, head: StreamState) -> None:
        self.drop(post_id)
        size = head.bytes
        self._heads[post_id] = (head, size)
        self._bytes += size
        while (self._bytes > self._max_bytes or len(self._heads) > self._max_heads) and len(self._heads) > 1:
            self._bytes -= self._heads.popitem(last=False)[1][1]

    def drop(self, post_id: PostId) -> None:
        if post_id in self._heads:
            self._bytes -= self._heads.pop(post_id)[1]


class StateLoader:
    """Reads heads from the log, beginning at a stored snapshot where there is a usable one."""

    def __init__(self, store: EventStore, codec: EventCodec, snapshotting: Snapshotting) -> None:
        self._store = store
        self._codec = codec
        self._snapshotting = snapshotting
        self._long_loads = asyncio.Semaphore(_LONG_LOADS)

    async def read(self, post_id: PostId) -> StreamState:
        """The head as the log has it now. What took long to read is stored as a snapshot. Raises `StoreUnavailable`,
        `EventNotReadable`, `StreamDamaged`."""
        start = await self._snapshotting.load(post_id)
        if start is not None and not await self._store.holds(post_id, start.version, start.position, start.commit_id):
            logger.warning(
                "ignored a snapshot of %s at version %d, which the log does not have so", post_id, start.version
            )
            start = None
        head = StreamState(start.state, start.version, start.position, start.commit_id) if start else NOTHING
        commits = await self._store.read_stream(post_id, head.version, _COMMITS_A_READ)
        if not _is_long(commits):
            return await self._read_on(post_id, head, commits)
        async with self._long_loads:
            return await self._read_on(post_id, head, commits)

    async def _read_on(self, post_id: PostId, start: StreamState, commits: Sequence[Commit]) -> StreamState:
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

    def _folded(self, head: StreamState, commits: Sequence[Commit]) -> StreamState:
        for commit in commits:
            require_next(commit, head.version)
            state = head.state
            for versioned in self._codec.decode(commit):
                state = evolve(state, versioned.event)
            head = StreamState(state, commit.last_version, commit.position, commit.commit_id)
        return head


def _is_long(commits: Sequence[Commit]) -> bool:
    return sum(len(commit.events) for commit in commits) > _EVENTS_AT_ONCE
