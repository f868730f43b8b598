"""Snapshots: the states of long streams, stored every N events off the critical path.

A cache: stamped with a format that changes with the state's shape, the events and their upcasters; what has another
format or can't be read is ignored. A snapshot that fails to be stored costs time later and nothing else.
"""

import asyncio
import hashlib
import json
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from application.errors import Unavailable
from application.ports.metrics import Metrics
from application.ports.snapshots import Snapshot, Snapshots
from domain.event_types import CURRENT
from domain.ids import CommentId, PostId
from domain.persistent_map import PersistentMap
from domain.post import Comment, LivePost, NoPost, PostState, RemovedPost
from domain.upcasters import CHAIN
from domain.upcasting import EventKey

logger = logging.getLogger(__name__)

_STATE_SHAPE = 2
"""Raise it when the meaning of a field below, `evolve`, or what an upcaster does changes."""

_MAX_BYTES = 8_000_000
"""Larger ones are not stored: a MongoDB document has at most 16 MB."""


def format_of(event_types: Sequence[EventKey], steps: Sequence[tuple[EventKey, ...]]) -> str:
    """Names what a stored state depends on."""
    return hashlib.sha256(repr((_STATE_SHAPE, list(event_types), list(steps))).encode()).hexdigest()[:16]


FORMAT = format_of(
    [(event_type.name, event_type.schema_version) for event_type in CURRENT],
    [step.consumes + step.produces for step in CHAIN.steps],
)


@dataclass(frozen=True, slots=True)
class StoredState:
    state: PostState
    version: int
    position: int


class Snapshotting:
    """`every` is the distance in events between two snapshots of a stream; 0 switches them off."""

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
            state = await asyncio.to_thread(decode_state, snapshot.state)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            logger.warning("ignored an unreadable snapshot of %s: %s", post_id, error)
            return None
        return StoredState(state, snapshot.version, snapshot.position)

    def consider(self, post_id: PostId, before: int, stored: StoredState) -> None:
        """Store a snapshot in the background if the stream passed a multiple of `every` since version `before`."""
        if not self._every or before // self._every == stored.version // self._every or post_id in self._under_way:
            return
        task = asyncio.create_task(self._store(post_id, stored), name=f"snapshot-{post_id}")
        self._under_way[post_id] = task
        task.add_done_callback(lambda _: self._under_way.pop(post_id, None))

    async def drain(self) -> None:
        """Return when no snapshot is under way."""
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    async def _store(self, post_id: PostId, stored: StoredState) -> None:
        state = await asyncio.to_thread(encode_state, stored.state)
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


def encode_state(state: PostState) -> bytes:
    match state:
        case NoPost():
            plain: dict[str, Any] = {"is": "nothing"}
        case RemovedPost():
            plain = {"is": "removed"}
        case LivePost():
            plain = {
                "is": "live",
                "author": state.author,
                "message": state.message,
                "likers": list(state.likers),
                "comments": [[key, comment.text, comment.username] for key, comment in state.comments.items()],
            }
    return zlib.compress(json.dumps(plain, ensure_ascii=False).encode(), level=1)


def decode_state(stored: bytes) -> PostState:
    plain = json.loads(zlib.decompress(stored))
    match plain["is"]:
        case "nothing":
            return NoPost()
        case "removed":
            return RemovedPost()
        case "live":
            return LivePost(
                author=plain["author"],
                message=plain["message"],
                likers=_map_of(dict.fromkeys(plain["likers"], True)),
                comments=_map_of({CommentId(k): Comment(text=t, username=u) for k, t, u in plain["comments"]}),
            )
        case other:
            raise ValueError(f"unknown kind of state {other!r}")


def _map_of(entries: dict[Any, Any]) -> PersistentMap[Any, Any]:
    result: PersistentMap[Any, Any] = PersistentMap()
    for key, value in entries.items():
        result = result.put(key, value)
    return result
