"""One relay's time in office, under one lease."""

import asyncio
from collections.abc import Collection, Sequence

from application.errors import StoreUnavailable
from application.pipeline.announcing import Announcer
from application.ports.bus import CommitEntry, Publication, Publisher, Watermark
from application.ports.commit_log import CommitLog
from application.ports.relay_state import Lease, RelayState
from application.ports.system import Clock, Journal, Metrics
from application.projections.batch import at_most

_WINDOW = 4
"""Publications under way at once: the next page is read while the bus acknowledges those before."""

_CHECKPOINT_SECONDS = 0.1
"""Between two writes of the checkpoint: each is as dear as a commit, and at worst so much is published twice."""

_WATERMARK_SECONDS = 0.0002
"""Per partition, between two rounds of watermarks that go with commits, so that many partitions are not flooded."""


_CANCEL_AGAIN_SECONDS = 0.5
"""A task may swallow a cancellation: `asyncio.wait_for` of Python 3.11 does when what it waits for ends just then."""


class LeaseLost(Exception):
    """Another relay was granted the lease."""


class PartitionsChanged(Exception):
    """The topic has another number of partitions than when the term began."""


class LogWentBack(Exception):
    """The log ends before the position up to which it was published: it was restored to an older state."""


class RelayTerm:
    """`asked_at` is when the lease was asked for, by the clock's monotonic time: it stands for `ttl_seconds` from then
    on, at least. `has_published`: whether the bus has acknowledged anything in this term."""

    def __init__(
        self,
        *,
        lease: Lease,
        asked_at: float,
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
        self._asked_at = asked_at
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
        self._deliveries: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled or until something fails. Raises `LeaseLost`, `LogWentBack`,
        `PartitionsChanged`, `Unavailable`."""
        # No task group: one that is ending takes no more tasks, and waits for a loop that swallowed its cancellation.
        self._failed = asyncio.get_running_loop().create_future()
        loops = [asyncio.create_task(each) for each in (self._renew(), self._move_checkpoint(), self._publish_all())]
        try:
            ended, _ = await asyncio.wait((*loops, self._failed), return_when=asyncio.FIRST_COMPLETED)
            for each in ended:
                each.result()
        finally:
            await _end(loops)
            await _end(self._deliveries)
            self._failed.cancel()
            await asyncio.gather(self._failed, return_exceptions=True)  # else its error counts as never looked at

    async def store_checkpoint(self) -> None:
        """Of everything that was acknowledged. Raises `LeaseLost`, `StoreUnavailable`."""
        position = self._acknowledged
        if position > self._stored:
            if not await self._relay_state.advance(self._lease, position):
                raise LeaseLost
            self._stored = position

    async def _renew(self) -> None:
        """Raises `StoreUnavailable` when it is time and nobody has answered: another relay may hold the lease then."""
        ttl, proven_at = self._lease.ttl_seconds, self._asked_at
        while True:
            await asyncio.sleep(ttl / 3)
            asked_at = self._clock.monotonic()
            try:
                async with asyncio.timeout(max(0.0, proven_at + ttl - asked_at)):
                    renewed = await self._relay_state.renew(self._lease)
            except TimeoutError:
                raise StoreUnavailable(
                    f"The relay's lease could not be renewed within {ttl:g} s (relay.lease_seconds); another relay may "
                    "hold it by now.",
                    path="relay.lease_seconds",
                ) from None
            if not renewed:
                raise LeaseLost
            proven_at = asked_at

    async def _move_checkpoint(self) -> None:
        while True:
            await self._more_acknowledged.wait()
            self._more_acknowledged.clear()
            await self.store_checkpoint()
            await asyncio.sleep(_CHECKPOINT_SECONDS)

    async def _publish_all(self) -> None:
        partitions = await self._publisher.partitions()
        announcer = Announcer(await self._log.log_id(), partitions, self._lease.position)
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
            await self._publish(announcer, entries)
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

    async def _publish(self, announcer: Announcer, entries: Sequence[CommitEntry | Watermark]) -> None:
        if entries:
            await self._room.acquire()
            under_way = self._deliver(announcer.publication(entries), announcer.position, self._last)
            self._last = asyncio.create_task(under_way)
            self._deliveries.add(self._last)
            self._last.add_done_callback(self._note_delivery)

    def _note_delivery(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        error = None if delivery.cancelled() else delivery.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _deliver(self, publication: Publication, position: int, before: asyncio.Task[None] | None) -> None:
        messages = await self._publisher.publish(publication)
        if before is not None:
            await before
        self.has_published = True
        self._journal.record_published(self._acknowledged, position)
        self._acknowledged = position
        self._more_acknowledged.set()
        self._room.release()
        self._metrics.count("relay_messages", messages)
        self._metrics.gauge("relay_position", position)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
