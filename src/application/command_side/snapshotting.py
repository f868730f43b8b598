"""Snapshots: the states of long streams, stored every N events off the critical path; a large state more seldom, so
that what is written grows with the events and not with their square.

A cache: stamped with a format that changes with the state's shape, the events and their upcasters; what has another
format or can't be read is ignored. A snapshot that fails to be stored costs time later and nothing else.
"""

import asyncio
import hashlib
import json
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from application.errors import Unavailable
from application.ports.event_store import Snapshot, Snapshots
from application.ports.system import Metrics
from domain.event_types import CURRENT
from domain.ids import CommentId, PostId
from domain.persistent_map import PersistentMap
from domain.post import Comment, LivePost, NoPost, PostState, RemovedPost
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
