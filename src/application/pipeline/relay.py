"""Publishes the log to the bus: the log itself is the outbox.

One relay is active at a time, by a lease; others stand by. It reads the log by position from its checkpoint, and the
checkpoint moves only past what the bus has acknowledged. When anything fails it releases the lease, and the next
holder, this relay or another, starts at the checkpoint: messages may come twice, none is left out. Two relays at once,
when one was paused beyond its lease, do no harm: what a message says of the log is true whichever relay sends it.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from application.backoff import Backoff, log_interruption
from application.envelopes import Commit
from application.errors import StoreUnavailable, Unavailable
from application.partitioning import partition_of
from application.ports.bus import CommitEntry, Publication, Publisher, Watermark
from application.ports.commit_log import CommitLog
from application.ports.relay_state import Lease, RelayState
from application.ports.system import Clock, Ids, Journal, Metrics
from application.projections.batch import at_most
from application.projections.read_ahead import is_worth_reading_ahead

logger = logging.getLogger(__name__)

_STANDBY_SECONDS = 1.0
_FAREWELL_SECONDS = 0.5

_WINDOW = 4
"""Publications in flight: the next page is read while the bus acknowledges those before."""

_CHECKPOINT_SECONDS = 0.1
"""Between two writes of the checkpoint: each costs as much as a commit, and at worst this much is published twice."""

_WATERMARK_SECONDS = 0.0002
"""Per partition, between two rounds of watermarks that go with commits, so that many partitions don't get too many."""

_CANCEL_AGAIN_SECONDS = 0.5
"""A task may swallow a cancellation: `asyncio.wait_for` of Python 3.11 does when what it waits for ends just then."""


class Relay:
    """`batch_size` is how many commits one publication has at most; every `watermark_seconds` each partition gets a
    watermark that says how far the log is published, whether there was anything to publish or not.
    """

    def __init__(
        self,
        *,
        log: CommitLog,
        relay_state: RelayState,
        publisher: Publisher,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        journal: Journal,
        batch_size: int,
        lease_seconds: float,
        watermark_seconds: float,
    ) -> None:
        self._log = log
        self._relay_state = relay_state
        self._publisher = publisher
        self._clock = clock
        self._owner = ids.new()
        self._metrics = metrics
        self._journal = journal
        self._batch_size = batch_size
        self._lease_seconds = lease_seconds
        self._watermark_seconds = watermark_seconds

    async def run(self) -> None:
        """Until cancelled; then the lease is given back."""
        backoff = Backoff()
        while True:
            try:
                await self._publish_if_leader(backoff)
            except LeaseLost:
                logger.warning("another relay has taken over; standing by")
            except LogWentBack:
                logger.warning("the log ends before the position up to which it was published; restarting")
            except PartitionsChanged:
                logger.warning("the topic has another number of partitions now; restarting with that")
            except Exception as error:
                pause = backoff.next()
                code = log_interruption(logger, "publishing", error, pause)
                self._metrics.count("relay_interruptions", code=code)
                await asyncio.sleep(pause)

    async def _publish_if_leader(self, backoff: Backoff) -> None:
        asked_at = self._clock.monotonic()
        lease = await self._relay_state.acquire(self._owner, self._lease_seconds)
        if lease is None:
            self._metrics.gauge("relay_active", 0)
            await asyncio.sleep(min(_STANDBY_SECONDS, self._lease_seconds / 4))
            return
        lease = await self._within_log(lease)
        logger.info("publishing from position %d, with lease %d", lease.position, lease.token)
        relay_lease = self._relay_lease(lease, asked_at)
        self._metrics.gauge("relay_active", 1)
        try:
            await relay_lease.run()
        finally:
            if relay_lease.has_published:
                backoff.reset()
            await self._release(lease, relay_lease)

    async def _within_log(self, lease: Lease) -> Lease:
        """Move the checkpoint back to the log's end, if it is past that: everything in the log was published."""
        tip = await self._log.proven_tip()
        if lease.position <= tip:
            return lease
        logger.warning(
            "the log was published up to position %d, but ends at %d: it was restored to an older state; resuming "
            "from its end. If projectors refuse what the topic carries, delete the topic and run `postlog init`.",
            lease.position,
            tip,
        )
        if not await self._relay_state.set_back(lease, tip):
            raise LeaseLost
        return replace(lease, position=tip)

    def _relay_lease(self, lease: Lease, asked_at: float) -> "RelayLease":
        return RelayLease(
            lease=lease,
            asked_at=asked_at,
            log=self._log,
            relay_state=self._relay_state,
            publisher=self._publisher,
            clock=self._clock,
            metrics=self._metrics,
            journal=self._journal,
            batch_size=self._batch_size,
            watermark_seconds=self._watermark_seconds,
        )

    async def _release(self, lease: Lease, relay_lease: "RelayLease") -> None:
        """If the store does not answer in time, nothing is lost: the lease expires, and messages come twice."""
        self._metrics.gauge("relay_active", 0)
        with suppress(LeaseLost, Unavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await relay_lease.store_checkpoint()
                await self._relay_state.release(lease)


class LeaseLost(Exception):
    """Another relay was granted the lease."""


class PartitionsChanged(Exception):
    """The topic has another number of partitions than when the lease began."""


class LogWentBack(Exception):
    """The log ends before the position up to which it was published: it was restored to an older state."""


class RelayLease:
    """Publishes while this relay holds the lease. `asked_at` is when it was asked for, by the clock's monotonic time:
    it is valid for at least `ttl_seconds` from then. `has_published`: the bus has acknowledged something meanwhile."""

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
        """Until cancelled or until something fails. Raises `LeaseLost`, `LogWentBack`, `PartitionsChanged`,
        `Unavailable`."""
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
            await asyncio.gather(self._failed, return_exceptions=True)  # else asyncio logs its error as never retrieved

    async def store_checkpoint(self) -> None:
        """Of everything that was acknowledged. Raises `LeaseLost`, `StoreUnavailable`."""
        position = self._acknowledged
        if position > self._stored:
            if not await self._relay_state.advance(self._lease, position):
                raise LeaseLost
            self._stored = position

    async def _renew(self) -> None:
        """Raises `StoreUnavailable` when the store has not answered in time: another relay may hold the lease then."""
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
        plan = PublicationPlan(await self._log.log_id(), partitions, self._lease.position)
        watermarks_at = remind_at = self._clock.monotonic()
        while True:
            commits = at_most(await self._log.read(plan.position, self._batch_size))
            entries: list[CommitEntry | Watermark] = [*plan.commits(commits)]
            now = self._clock.monotonic()
            is_reminding = now >= remind_at
            if is_reminding:
                entries += plan.reminders()
                remind_at = now + self._watermark_seconds
            elif now >= watermarks_at:
                entries += plan.watermarks()
                watermarks_at = now + _WATERMARK_SECONDS * plan.partitions
            await self._publish(plan, entries)
            if is_reminding:  # after the commits, for which queries wait: it takes some milliseconds
                await self._check_topic_and_log(plan)
            if commits:
                self._metrics.count("relay_commits", len(commits))
            if not is_worth_reading_ahead(commits, self._batch_size):
                due = remind_at if plan.is_even else min(watermarks_at, remind_at)
                await self._log.wait(plan.position, max(0.0, due - now))

    async def _check_topic_and_log(self, plan: "PublicationPlan") -> None:
        if await self._publisher.partitions() != plan.partitions:
            raise PartitionsChanged
        position = plan.position
        if await self._log.tip() < position and await self._log.proven_tip() < position:
            raise LogWentBack

    async def _publish(self, plan: "PublicationPlan", entries: Sequence[CommitEntry | Watermark]) -> None:
        if entries:
            await self._room.acquire()
            delivery = self._deliver(plan.publication(entries), plan.position, self._last)
            self._last = asyncio.create_task(delivery)
            self._deliveries.add(self._last)
            self._last.add_done_callback(self._end_delivery)

    def _end_delivery(self, delivery: asyncio.Task[None]) -> None:
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


class PublicationPlan:
    """Decides which messages to publish for a commit (pure). It knows the position that was sent last to each
    partition: at first `position`, the relay's checkpoint, since this relay claims nothing about what came before.
    """

    def __init__(self, log_id: str, partitions: int, position: int) -> None:
        self.partitions = partitions
        self.position = position
        self._log_id = log_id
        self._sent = [position] * partitions

    @property
    def is_even(self) -> bool:
        """Whether the position was sent to every partition."""
        return all(sent == self.position for sent in self._sent)

    def commits(self, commits: Sequence[Commit]) -> list[CommitEntry]:
        """`commits` follow each other, and the position, without gap."""
        entries: list[CommitEntry] = []
        for commit in commits:
            partition = partition_of(commit.stream_id, self.partitions)
            entries.append(CommitEntry(partition, self._sent[partition], commit))
            self._sent[partition] = self.position = commit.position
        return entries

    def watermarks(self) -> list[Watermark]:
        """For the partitions that lack the position: a database is as new as its oldest partition."""
        behind = [partition for partition, sent in enumerate(self._sent) if sent < self.position]
        return [self._watermark(partition) for partition in behind]

    def reminders(self) -> list[Watermark]:
        """For every partition: a consumer that missed the last message of a quiet partition detects it by this."""
        return [self._watermark(partition) for partition in range(self.partitions)]

    def publication(self, entries: Sequence[CommitEntry | Watermark]) -> Publication:
        return Publication(self._log_id, self.partitions, entries)

    def _watermark(self, partition: int) -> Watermark:
        mark = Watermark(partition, self._sent[partition], self.position)
        self._sent[partition] = self.position
        return mark
