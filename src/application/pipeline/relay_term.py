"""One relay's time in office, under one lease."""

import asyncio
from collections.abc import Sequence

from application.pipeline.announcing import Announcer
from application.ports.bus import CommitEntry, Publication, Publisher, Watermark
from application.ports.clock import Clock
from application.ports.commit_log import CommitLog
from application.ports.journal import Journal
from application.ports.metrics import Metrics
from application.ports.relay_state import Lease, RelayState
from application.projections.batching import at_most

_WINDOW = 4
"""Publications under way at once: the next page is read while the bus acknowledges those before."""

_CHECKPOINT_SECONDS = 0.1
"""Between two writes of the checkpoint: each is as dear as a commit, and at worst so much is published twice."""

_WATERMARK_SECONDS = 0.0002
"""Per partition, between two rounds of watermarks that go with commits, so that many partitions are not flooded."""


class LeaseLost(Exception):
    """Another relay was granted the lease."""


class PartitionsChanged(Exception):
    """The topic has another number of partitions than when the term began."""


class LogWentBack(Exception):
    """The log ends before the position up to which it was published: it was restored to an older state."""


class RelayTerm:
    """`has_published`: whether the bus has acknowledged anything in this term."""

    def __init__(
        self,
        *,
        lease: Lease,
        log: CommitLog,
        relay_state: RelayState,
        publisher: Publisher,
        clock: Clock,
        metrics: Metrics,
        journal: Journal,
        batch_size: int,
        watermark_seconds: float,
    ) -> None:
        self._lease = lease
        self._log = log
        self._relay_state = relay_state
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._journal = journal
        self._batch_size = batch_size
        self._watermark_seconds = watermark_seconds
        self.has_published = False
        self._acknowledged = lease.position
        self._stored = lease.position
        self._more_acknowledged = asyncio.Event()
        self._room = asyncio.Semaphore(_WINDOW)
        self._last: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled or until something fails: a group of `LeaseLost`, `LogWentBack`, `PartitionsChanged`,
        `Unavailable`."""
        partitions = await self._publisher.partitions()
        announcer = Announcer(await self._log.log_id(), partitions, self._lease.position)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew())
            tasks.create_task(self._move_checkpoint())
            tasks.create_task(self._publish_all(announcer, tasks))

    async def store_checkpoint(self) -> None:
        """Of everything that was acknowledged. Raises `LeaseLost`, `StoreUnavailable`."""
        position = self._acknowledged
        if position > self._stored:
            if not await self._relay_state.advance(self._lease, position):
                raise LeaseLost
            self._stored = position

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease.ttl_seconds / 3)
            if not await self._relay_state.renew(self._lease):
                raise LeaseLost

    async def _move_checkpoint(self) -> None:
        while True:
            await self._more_acknowledged.wait()
            self._more_acknowledged.clear()
            await self.store_checkpoint()
            await asyncio.sleep(_CHECKPOINT_SECONDS)

    async def _publish_all(self, announcer: Announcer, tasks: asyncio.TaskGroup) -> None:
        level_at = remind_at = self._clock.monotonic()
        while True:
            commits = at_most(await self._log.read(announcer.position, self._batch_size))
            entries: list[CommitEntry | Watermark] = [*announcer.commits(commits)]
            now = self._clock.monotonic()
            if now >= remind_at:
                await self._look_around(announcer)
                entries += announcer.reminders()
                remind_at = now + self._watermark_seconds
            elif now >= level_at:
                entries += announcer.watermarks()
                level_at = now + _WATERMARK_SECONDS * announcer.partitions
            await self._publish(announcer, entries, tasks)
            if commits:
                self._metrics.count("relay_commits", len(commits))
            else:
                due = remind_at if announcer.level else min(level_at, remind_at)
                await self._log.wait(announcer.position, max(0.0, due - now))

    async def _look_around(self, announcer: Announcer) -> None:
        if await self._publisher.partitions() != announcer.partitions:
            raise PartitionsChanged
        position = announcer.position
        if await self._log.tip() < position and await self._log.proven_tip() < position:
            raise LogWentBack

    async def _publish(
        self, announcer: Announcer, entries: Sequence[CommitEntry | Watermark], tasks: asyncio.TaskGroup
    ) -> None:
        if entries:
            await self._room.acquire()
            under_way = self._deliver(announcer.publication(entries), announcer.position, self._last)
            self._last = tasks.create_task(under_way)

    async def _deliver(self, publication: Publication, position: int, before: asyncio.Task[None] | None) -> None:
        messages = await self._publisher.publish(publication)
        if before is not None:
            await before
        self.has_published = True
        self._journal.note_published(self._acknowledged, position)
        self._acknowledged = position
        self._more_acknowledged.set()
        self._room.release()
        self._metrics.count("relay_messages", messages)
        self._metrics.gauge("relay_position", position)
