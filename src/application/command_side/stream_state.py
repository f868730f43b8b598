"""The state of a post's stream at a version: loaded from the log, kept in a bounded cache, and for long streams stored
as a snapshot.

Cache and snapshots can be dropped at any time, and the log always wins over them. A decision may rest on the cache only
if an append follows, because the log's unique keys check it; a snapshot is used only if the log holds its commit.
"""

import asyncio
import logging
import sys
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
from application.snapshot_format import ENTRIES_PER_LINE, UNREADABLE, compressed, current_format, lines_of
from domain.ids import CommentId, PostId
from domain.persistent_map import PersistentMap
from domain.post import INITIAL, Comment, LivePost, NoPost, PostState, RemovedPost, evolve

logger = logging.getLogger(__name__)

_COMMITS_PER_READ = 1_000
_EVENTS_AT_ONCE = 200
"""More events than these are folded in a thread, so that other requests are answered meanwhile."""

_LONG_LOADS = 2
"""How many long streams are loaded at the same time: more take longer, and each holds a large state in memory."""

_STATE_BYTES = 500
_ENTRY_BYTES = 100
_COMMENT_BYTES = 150
"""Approximate size of a state, a liker and a comment without their texts (measured with tracemalloc)."""

_SAMPLE = 16
"""How many likers and comments are measured; the others count as much on average. A map is ordered by hashes."""

_REMEASURED = 16

_STATE_SHAPE = 2
"""Increase it when the meaning of a stored field, `evolve`, or what an upcaster does changes."""

_MAX_BYTES = 256_000_000
"""Larger snapshots (compressed) are not stored."""

_LARGE = 16
"""The distance between two snapshots doubles while a state has more than 16 entries for each event of the distance."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """The state after the stream's event `version`, whose commit has this `position` and `commit_id`."""

    state: PostState
    version: int
    position: int
    commit_id: str


EMPTY_STREAM = StreamState(INITIAL, 0, 0, "")


@dataclass(frozen=True, slots=True)
class CachedState:
    """`entry_bytes` is the size of the likers and comments when there were `entries` of them."""

    stream: StreamState
    entries: int
    entry_bytes: int

    @classmethod
    def of(cls, stream: StreamState, before: "CachedState | None") -> "CachedState":
        """Entries are measured again when there are a sixteenth more, or fewer."""
        entries = entries_of(stream.state)
        if before is not None and 0 <= entries - before.entries <= before.entries // _REMEASURED:
            return cls(stream, before.entries, before.entry_bytes)
        return cls(stream, entries, _entry_bytes(stream.state))

    @property
    def bytes(self) -> int:
        """Approximate size in memory."""
        state = self.stream.state
        message = sys.getsizeof(state.message) if isinstance(state, LivePost) else 0
        return _STATE_BYTES + message + self.entry_bytes


def entries_of(state: PostState) -> int:
    """The number of likers and comments."""
    return len(state.likers) + len(state.comments) if isinstance(state, LivePost) else 0


def _entry_bytes(state: PostState) -> int:
    if not isinstance(state, LivePost):
        return 0
    names = [sys.getsizeof(name) + _ENTRY_BYTES for name in islice(state.likers, _SAMPLE)]
    comments = [
        sys.getsizeof(comment.text) + sys.getsizeof(comment.username) + sys.getsizeof(key) + _COMMENT_BYTES
        for key, comment in islice(state.comments.items(), _SAMPLE)
    ]
    return _extrapolated(names, len(state.likers)) + _extrapolated(comments, len(state.comments))


def _extrapolated(sample: Sequence[int], count: int) -> int:
    return sum(sample) * count // len(sample) if sample else 0


class StateCache:
    """The most recently used states, bounded by number and by approximate memory. The newest state always stays,
    because commands on a post that is larger than the whole cache must not load it each time.
    """

    def __init__(self, max_bytes: int, max_states: int) -> None:
        self._max_bytes = max_bytes
        self._max_states = max_states
        self._states: OrderedDict[PostId, CachedState] = OrderedDict()
        self._bytes = 0

    def get(self, post_id: PostId) -> StreamState | None:
        if post_id not in self._states:
            return None
        self._states.move_to_end(post_id)
        return self._states[post_id].stream

    def put(self, post_id: PostId, stream: StreamState) -> None:
        cached = CachedState.of(stream, self.drop(post_id))
        self._states[post_id] = cached
        self._bytes += cached.bytes
        while (self._bytes > self._max_bytes or len(self._states) > self._max_states) and len(self._states) > 1:
            self._bytes -= self._states.popitem(last=False)[1].bytes

    def drop(self, post_id: PostId) -> CachedState | None:
        """What was dropped."""
        cached = self._states.pop(post_id, None)
        if cached is not None:
            self._bytes -= cached.bytes
        return cached


class StateLoader:
    """Loads states from the log, starting from a stored snapshot if there is a usable one."""

    def __init__(self, store: EventStore, codec: EventCodec, snapshotting: "Snapshotting") -> None:
        self._store = store
        self._codec = codec
        self._snapshotting = snapshotting
        self._long_loads = asyncio.Semaphore(_LONG_LOADS)

    async def load(self, post_id: PostId) -> StreamState:
        """The state as the log has it now. If the load was long, the state is stored as a snapshot. Raises
        `StoreUnavailable`, `EventNotReadable`, `StreamDamaged`.
        """
        stream = await self._snapshot_of(post_id) or EMPTY_STREAM
        commits = await self._store.read_stream(post_id, stream.version, _COMMITS_PER_READ)
        if not _is_long(commits):
            return await self._fold_rest(post_id, stream, commits)
        async with self._long_loads:
            return await self._fold_rest(post_id, stream, commits)

    async def _snapshot_of(self, post_id: PostId) -> StreamState | None:
        found = await self._snapshotting.load(post_id)
        if found is None or await self._store.holds(post_id, found.version, found.position, found.commit_id):
            return found
        logger.warning(
            "ignored a snapshot of post %s: its commit (version %d) is not in the log", post_id, found.version
        )
        return None

    async def _fold_rest(self, post_id: PostId, start: StreamState, commits: Sequence[Commit]) -> StreamState:
        """If the store becomes unavailable, what was read until then is stored as a snapshot, too: the next load
        resumes there.
        """
        stream = start
        try:
            while commits:
                if _is_long(commits):
                    stream = await asyncio.to_thread(self._folded, stream, commits)
                else:
                    stream = self._folded(stream, commits)
                commits = await self._store.read_stream(post_id, stream.version, _COMMITS_PER_READ)
        finally:
            self._snapshotting.consider(post_id, start.version, stream)
        return stream

    def _folded(self, stream: StreamState, commits: Sequence[Commit]) -> StreamState:
        for commit in commits:
            require_next(commit, stream.version)
            state = stream.state
            for event in self._codec.decode(commit):
                state = evolve(state, event)
            stream = StreamState(state, commit.last_version, commit.position, commit.commit_id)
        return stream


def _is_long(commits: Sequence[Commit]) -> bool:
    return sum(len(commit.events) for commit in commits) > _EVENTS_AT_ONCE


class Snapshotting:
    """Stores a snapshot every `every` events, off the critical path, and less often for a large state, so that the
    bytes written grow with the number of events and not with its square. 0 switches snapshots off. A snapshot that
    can't be stored or read costs time later and nothing else.
    """

    def __init__(self, snapshots: Snapshots, metrics: Metrics, every: int) -> None:
        self._snapshots = snapshots
        self._metrics = metrics
        self._every = every
        self._in_flight: dict[PostId, asyncio.Task[None]] = {}

    async def load(self, post_id: PostId) -> StreamState | None:
        """The newest readable one of the current format."""
        if not self._every:
            return None
        snapshot = await self._snapshots.load(post_id)
        if snapshot is None or snapshot.format != FORMAT:
            return None
        try:
            state, commit_id = await asyncio.to_thread(decode_state, snapshot.state)
        except UNREADABLE as error:
            logger.warning("ignored an unreadable snapshot of post %s: %s", post_id, error)
            return None
        return StreamState(state, snapshot.version, snapshot.position, commit_id)

    def consider(self, post_id: PostId, before: int, stream: StreamState) -> None:
        """Store a snapshot in the background if the stream passed a multiple of the distance since version `before`."""
        if not self._every or post_id in self._in_flight:
            return
        distance = distance_of(stream.state, self._every)
        if before // distance == stream.version // distance:
            return
        task = asyncio.create_task(self._store(post_id, stream), name=f"snapshot-{post_id}")
        self._in_flight[post_id] = task
        task.add_done_callback(lambda _: self._in_flight.pop(post_id, None))

    async def drain(self) -> None:
        """Return when no snapshot is being stored."""
        if self._in_flight:
            await asyncio.wait(list(self._in_flight.values()))

    async def _store(self, post_id: PostId, stream: StreamState) -> None:
        state = await asyncio.to_thread(encode_state, stream.state, stream.commit_id)
        if len(state) > _MAX_BYTES:
            self._metrics.count("snapshots_too_large")
            return
        try:
            await self._snapshots.store(
                Snapshot(
                    stream_id=post_id, version=stream.version, position=stream.position, format=FORMAT, state=state
                )
            )
        except Unavailable as error:
            self._metrics.count("snapshots_failed")
            logger.warning("could not store a snapshot of post %s: %s", post_id, error.message)
        else:
            self._metrics.count("snapshots_stored")


def distance_of(state: PostState, every: int) -> int:
    """Events between two snapshots. Replaying them takes a few seconds at most, and encoding the state costs each of
    them at most as much as encoding 32 entries.
    """
    entries = entries_of(state)
    return every << max(0, (entries // (_LARGE * every)).bit_length() - 1)


FORMAT = current_format(_STATE_SHAPE)


def encode_state(state: PostState, commit_id: str) -> bytes:
    """Compressed lines of JSON: the id of the state's last commit, the kind of state, then likers and comments in
    parts.
    """
    return compressed(chain([{"commit": commit_id}], _lines(state)))


def _lines(state: PostState) -> Iterator[dict[str, Any]]:
    match state:
        case NoPost():
            yield {"is": "nothing"}
        case RemovedPost():
            yield {"is": "removed"}
        case LivePost():
            likers, comments = iter(state.likers), state.comments.items()
            yield {"is": "live", "author": state.author, "message": state.message}
            while names := list(islice(likers, ENTRIES_PER_LINE)):
                yield {"likers": names}
            while some := list(islice(comments, ENTRIES_PER_LINE)):
                yield {"comments": [[key, comment.text, comment.username] for key, comment in some]}


def decode_state(stored: bytes) -> tuple[PostState, str]:
    """The state, and the id of its last commit."""
    commit, first, *more = lines_of(stored)
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
