"""Log, projector and queries in memory, built by the container: for tests of how they work together."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from msgspec.structs import replace

from adapters.memory.generations import MemoryGenerations
from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemorySnapshots
from adapters.memory.read_db import (
    MemoryAuditRows,
    MemoryParkedStreams,
    MemoryPostViews,
    MemoryProjectionStore,
    MemoryReadDb,
)
from adapters.system.journal import LocalJournal
from application.ports.event_codec import EventCodec
from application.ports.post_views import PostViews
from application.ports.read_db import ParkedStreams, ProjectionStore
from application.projections.log_checks import LogGaps
from command_process import CODEC, CommandProcess, RecordedMetrics
from containers import IN_MEMORY, container_with
from contracts.log_handle import LogHandle
from entrypoints.composition.container import Container
from entrypoints.settings.model import Http
from entrypoints.settings.model import Projector as ProjectorSettings

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
        self.journal = LocalJournal()
        self.process = CommandProcess(
            self.event_store,
            MemorySnapshots(self.log),
            series=next(_SERIES),
            journal=self.journal,
            require_writable=(gaps or LogGaps(self.commit_log)).require_none,
        )
        self.generations, self.audit_rows = MemoryGenerations(self.read_db), MemoryAuditRows(self.read_db)
        self._settings = replace(
            IN_MEMORY,
            http=Http(min_position_wait_seconds=patience),
            projector=ProjectorSettings(batch_size=batch_size),
        )
        self._parts = {
            "event_store": self.event_store,
            "commit_log": self.commit_log,
            "past_events": self.past_events,
            "projection_store": self.store,
            "post_views": self.views,
            "parked_streams": self.parked_streams,
            "generations": self.generations,
            "audit_rows": self.audit_rows,
            "codec": codec,
            "metrics": self.metrics,
            "journal": self.journal,
        }
        self.container = self.process_with()
        self.rows_moved = self.container.rows_moved()
        self.projector = self.container.projector()
        self.retry = self.container.parked_retry()
        self.follower = self.container.follower()
        self.queries = self.container.query_dispatcher()
        self.status = self.container.status_queries()

    def process_with(self, **parts: object) -> Container:
        """Another process on the same log and read database."""
        return container_with(self._settings, **(self._parts | parts))

    async def caught_up(self, seconds: float = 5.0) -> None:
        """Return when the rows have reached the log's tip and are ready."""
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
