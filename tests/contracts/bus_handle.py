"""What the bus's suites need of an adapter, and a small world around it: a log, a read database, relay and projectors.

An adapter's tests give one fixture, `bus`: a `BusHandle` on a fresh topic of three partitions.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemoryRelayState
from adapters.memory.read_db import MemoryParkedStreams, MemoryPostViews, MemoryProjectionStore, MemoryReadDb
from adapters.wire.cloudevents import WireMessage
from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit, StoredEvent
from application.pipeline.bus_consumer import BusConsumer
from application.pipeline.projector import Projector
from application.pipeline.relay import Relay
from application.ports.bus import Publisher, Subscription
from application.ports.event_codec import EventCodec
from application.ports.event_store import Appended
from application.ports.read_db import ProjectionStore
from application.ports.relay_state import RelayState
from application.projections.post import WholePost
from application.rows import CommentRow, PostRow
from containers import container_with
from contracts.log_handle import proposed
from contracts.waiting import eventually
from domain.ids import PostId
from entrypoints.composition.container import Container

PARTITIONS = 3
SOON = 20.0
"""Seconds that nothing here takes, on a busy machine either."""

WATERMARK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class BusHandle:
    """`subscription` opens one that has joined for that read database. `recreate` deletes and recreates the topic,
    `expire` lets go of all messages so far, `put` sends any message."""

    publisher: Publisher
    subscription: Callable[[str], AbstractAsyncContextManager[Subscription]]
    recreate: Callable[[], Awaitable[None]]
    expire: Callable[[], Awaitable[None]]
    put: Callable[[WireMessage], Awaitable[None]]


class CountedMetrics:
    """Remembers counters and gauges by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counts[name] += int(amount)

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        self.gauges[name] = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        pass


def post_id(partition: int, number: int = 0) -> PostId:
    """A post of this partition, of three."""
    ids = {0: (5, 7, 9), 1: (2, 3, 10), 2: (0, 1, 4)}[partition]
    return PostId(f"019b0000-0000-7000-8000-{ids[number]:012x}")


def created(message: str = "Hello") -> StoredEvent:
    data = {"author": "Ann", "message": message, "datePosted": "2026-11-23T15:46:58.123Z"}
    return StoredEvent("PostCreated", 1, data)


def liked(username: str | None = None) -> StoredEvent:
    return StoredEvent("PostLiked", 2, {"username": username})


@dataclass(slots=True)
class World:
    """A log and a read database in memory, and what runs between them and the bus."""

    bus: BusHandle
    codec: EventCodec = field(default_factory=MsgspecEventCodec)
    memory_log: MemoryLog = field(default_factory=MemoryLog)
    read_db: MemoryReadDb = field(default_factory=MemoryReadDb)
    metrics: CountedMetrics = field(default_factory=CountedMetrics)

    @property
    def log(self) -> MemoryCommitLog:
        return MemoryCommitLog(self.memory_log)

    @property
    def log_id(self) -> str:
        return self.memory_log.log_id

    async def write(self, stream: PostId, *events: StoredEvent) -> Commit:
        """One commit at the stream's end."""
        store = MemoryEventStore(self.memory_log)
        tail = await store.stream_tail(stream)
        [outcome] = await store.append([proposed(stream, tail.version + 1 if tail else 1, *events)])
        assert isinstance(outcome, Appended)
        [commit] = await self.log.read(outcome.position - 1, 1)
        return commit

    def relay(self, publisher: Publisher | None = None, state: RelayState | None = None, **changes: Any) -> Relay:
        settings: dict[str, Any] = {"batch_size": 100, "lease_seconds": 5.0, "watermark_seconds": WATERMARK_SECONDS}
        return self._container().bus_relay(
            relay_state=state or MemoryRelayState(self.memory_log),
            publisher=publisher or self.bus.publisher,
            **(settings | changes),
        )

    def projector(self, store: ProjectionStore | None = None) -> Projector:
        return self._container().projector(store=store or MemoryProjectionStore(self.read_db))

    def follower(
        self, subscription: Subscription, store: ProjectionStore | None = None, batch_size: int = 100
    ) -> BusConsumer:
        return self._container().bus_follower(
            projector=self.projector(store), subscription=subscription, batch_size=batch_size
        )

    def _container(self) -> Container:
        """A new one each time: as another process."""
        store = MemoryEventStore(self.memory_log)
        return container_with(
            event_store=store,
            commit_log=self.log,
            past_events=store,
            projection_store=MemoryProjectionStore(self.read_db),
            parked_streams=MemoryParkedStreams(self.read_db),
            codec=self.codec,
            metrics=self.metrics,
        )

    @asynccontextmanager
    async def relaying(self, publisher: Publisher | None = None) -> AsyncIterator[None]:
        async with running(self.relay(publisher).run()):
            yield

    @asynccontextmanager
    async def projecting(self, batch_size: int = 100) -> AsyncIterator[None]:
        async with (
            self.bus.subscription(self.read_db.id) as subscription,
            running(self.follower(subscription, batch_size=batch_size).run()),
        ):
            yield

    async def caught_up(self) -> None:
        """Return when queries are answered, from rows as new as the log's tip."""

        async def look() -> bool:
            stamp = await MemoryPostViews(self.read_db).stamp()
            return stamp.ready and stamp.position >= await self.log.tip()

        await eventually(look, SOON)

    async def on_the_bus(self) -> None:
        """Returns when every partition is consumed: messages published from now on are received."""

        async def look() -> bool:
            checkpoints = self.read_db.checkpoints[self.read_db.live.generation].values()
            return len(checkpoints) == self.read_db.live.partitions and all(c.offset is not None for c in checkpoints)

        await eventually(look, SOON)

    def rows(self) -> dict[PostId, tuple[PostRow | None, dict[Any, CommentRow]]]:
        rows = self.read_db.live_rows
        return {post_id: (post, dict(rows.comments[post_id])) for post_id, post in rows.posts.items()}

    async def fold(self) -> dict[PostId, tuple[PostRow | None, dict[Any, CommentRow]]]:
        """The expected rows: of all posts but the parked ones."""
        posts: dict[PostId, WholePost] = {}
        for commit in await self.log.read(0, 1_000_000):
            if commit.stream_id not in self.read_db.live_parked:
                whole = posts.setdefault(commit.stream_id, WholePost(commit.stream_id))
                whole.apply(self.codec.decode(commit), commit.last_version)
        return {post_id: (whole.post, whole.comments) for post_id, whole in posts.items()}


@asynccontextmanager
async def running(forever: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Runs it meanwhile, and raises the error with which it ends."""
    task = asyncio.create_task(forever)
    try:
        yield task
    finally:
        ended = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not ended, "it ended by itself"
