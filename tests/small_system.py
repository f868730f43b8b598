"""Log, projector and queries in memory, wired as the composition root does: for tests of how they work together."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from adapters.memory.generations import MemoryGenerations
from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemorySnapshots
from adapters.memory.read_db import MemoryParkedStreams, MemoryPostViews, MemoryProjectionStore, MemoryReadDb
from adapters.system.clock_and_ids import SystemClock
from adapters.system.journal import LocalJournal
from adapters.system.rows_moved import LocalRowsMoved
from application.maintenance.repair import Repair
from application.mediator import QueryDispatcher
from application.pipeline.log_consumer import LogConsumer
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.ports.event_codec import EventCodec
from application.ports.post_views import PostViews
from application.ports.read_db import ParkedStreams, ProjectionStore
from application.projections.log_checks import LogGaps
from application.query_side.freshness import Freshness, LogEnd
from application.query_side.history import HistoryQueries
from application.query_side.posts import PostQueries
from application.query_side.posts_as_of import PostsAsOf
from application.query_side.status import StatusQueries
from command_process import CODEC, CommandProcess, RecordedMetrics
from contracts.log_handle import LogHandle

_SERIES = itertools.count(1)
"""Several systems on one log make different ids, as several processes do."""


@dataclass(frozen=True)
class ReadSide:
    """The adapters of one read database."""

    store: ProjectionStore
    views: PostViews
    parked: ParkedStreams


def in_memory(read_db: MemoryReadDb) -> ReadSide:
    return ReadSide(MemoryProjectionStore(read_db), MemoryPostViews(read_db), MemoryParkedStreams(read_db))


class SmallSystem:
    """`codec` is what the readers know; writers always know everything. `read_side` takes the place of `read_db`, `on`
    that of `log`."""

    def __init__(
        self,
        log: MemoryLog | None = None,
        read_db: MemoryReadDb | None = None,
        codec: EventCodec = CODEC,
        patience: float = 2.0,
        read_side: ReadSide | None = None,
        batch_size: int = 7,
        on: LogHandle | None = None,
        gaps: LogGaps | None = None,
    ) -> None:
        self.log = log or MemoryLog()
        self.read_db = read_db or MemoryReadDb()
        read_side = read_side or in_memory(self.read_db)
        in_memory_store = MemoryEventStore(self.log)
        on = on or LogHandle(in_memory_store, MemoryCommitLog(self.log), in_memory_store)
        self.event_store, self.commit_log, self.past_events = on.store, on.commits, on.past_events
        self.store, self.views, self.parked_streams = read_side.store, read_side.views, read_side.parked
        self.metrics = RecordedMetrics()
        self.rows_moved = LocalRowsMoved()
        self.journal = LocalJournal()
        self.process = CommandProcess(
            self.event_store,
            MemorySnapshots(self.log),
            series=next(_SERIES),
            journal=self.journal,
            require_writable=(gaps or LogGaps(self.commit_log)).require_none,
        )
        clock = SystemClock()
        shared = {
            "store": self.store,
            "past_events": self.past_events,
            "codec": codec,
            "clock": clock,
            "metrics": self.metrics,
            "rows_moved": self.rows_moved,
        }
        self.projector = Projector(log=self.commit_log, journal=self.journal, **shared)
        repair = Repair(store=self.store, past_events=self.past_events, codec=codec)
        self.retry = ParkedRetry(
            parked_streams=self.parked_streams, log=self.commit_log, repair=repair.repair, **shared
        )
        self.follower = LogConsumer(self.projector, self.retry, self.commit_log, self.metrics, batch_size)
        self.queries = QueryDispatcher()
        PostQueries(
            self.views, Freshness(clock, self.rows_moved, LogEnd(self.commit_log, clock), patience)
        ).register_with(self.queries)
        HistoryQueries(self.past_events, codec).register_with(self.queries)
        PostsAsOf(self.past_events, codec, clock).register_with(self.queries)
        self.status = StatusQueries(
            adapter="memory",
            views=self.views,
            store=self.store,
            generations=MemoryGenerations(self.read_db),
            log=self.commit_log,
            relay_state=None,
            clock=clock,
        )
        self.status.register_with(self.queries)

    async def caught_up(self, seconds: float = 5.0) -> None:
        """Return when the rows stand at the log's tip and are ready."""
        async with asyncio.timeout(seconds):
            while True:
                stamp = await self.views.stamp()
                if stamp.ready and stamp.position >= await self.commit_log.tip():
                    return
                await asyncio.sleep(0.001)

    async def counted(self, name: str, amount: float, seconds: float = 5.0) -> None:
        """Return when this metric has reached `amount`."""
        async with asyncio.timeout(seconds):
            while self.metrics.counts.get(name, 0) < amount:
                await asyncio.sleep(0.001)

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[None]:
        """The follower runs beside the block; what ended it is raised at its end."""
        task = asyncio.create_task(self.follower.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
