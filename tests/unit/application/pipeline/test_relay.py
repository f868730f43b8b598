"""The relay publishes every commit, claims only what is true, and repeats what was not acknowledged.

What is said of each commit is true of the log.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryLog, MemoryRelayState
from application.envelopes import Commit, ProposedCommit
from application.errors import BusUnavailable, StoreUnavailable
from application.pipeline.relay import PublicationPlan
from application.ports.bus import CommitEntry, Publication, Watermark
from application.ports.relay_state import Lease
from contracts.bus_handle import WATERMARK_SECONDS, World, created, liked, post_id, running
from contracts.log_handle import RECORDED_AT
from contracts.memory_bus import memory_bus
from contracts.waiting import eventually
from domain.ids import PostId

FAR = 3600.0
"""Seconds after which something happens that must not happen in a test."""


class Recorder:
    """A publisher that remembers. While `held`, it acknowledges nothing until `release`; `failures` are raised first,
    one a call."""

    def __init__(self, *, held: bool = False, failures: int = 0) -> None:
        self.count = 3
        self.calls: list[Publication] = []
        self.failures = failures
        self._held = held
        self._waiting: list[asyncio.Future[None]] = []

    async def partitions(self) -> int:
        return self.count

    async def publish(self, publication: Publication) -> int:
        self.calls.append(publication)
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("Kafka did not take a message.")
        if self._held:
            self._waiting.append(asyncio.get_running_loop().create_future())
            await self._waiting[-1]
        return len(publication.entries)

    def release(self, call: int) -> None:
        self._waiting[call].set_result(None)

    @property
    def entries(self) -> list[CommitEntry | Watermark]:
        return [entry for call in self.calls for entry in call.entries]

    @property
    def positions(self) -> list[int]:
        return [entry.commit.position for entry in self.entries if isinstance(entry, CommitEntry)]


@pytest.fixture
def world() -> World:
    return World(memory_bus())


async def is_true(look: Callable[[], bool]) -> None:
    async def ask() -> bool:
        return look()

    await eventually(ask)


async def stopped(task: asyncio.Task[None]) -> None:
    """Cancelled once, it ends within a second."""
    task.cancel()
    await asyncio.wait([task], timeout=1.0)
    assert task.cancelled()


async def checkpoint_is(world: World, position: int) -> None:
    await is_true(lambda: world.memory_log.relay.position == position)


async def test_every_commit_is_published_once_and_in_order(world: World) -> None:
    publisher = Recorder()
    for number in range(250):
        await world.write(post_id(number % 3), liked())
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        await is_true(lambda: len(publisher.positions) == 250)
        for number in range(50):
            await world.write(post_id(number % 3), liked())
            await asyncio.sleep(0)
        await is_true(lambda: len(publisher.positions) == 300)
        await checkpoint_is(world, 300)
    assert publisher.positions == list(range(1, 301))
    assert {(call.log_id, call.partitions) for call in publisher.calls} == {(world.log_id, 3)}
    assert max(len(call.entries) for call in publisher.calls) <= 100 + 3, "a page, and watermarks"


async def test_the_claims_about_each_partition_leave_nothing_out(world: World) -> None:
    publisher = Recorder()
    async with running(world.relay(publisher).run()):
        for number in range(100):
            await world.write(post_id(number % 7 % 3), liked())
            await asyncio.sleep(0)
        await is_true(lambda: len(publisher.positions) == 100)
    sent = [0, 0, 0]
    for entry in publisher.entries:
        assert entry.prev_position == sent[entry.partition]
        sent[entry.partition] = entry.commit.position if isinstance(entry, CommitEntry) else entry.position


async def test_with_every_commit_the_other_partitions_get_watermarks(world: World) -> None:
    publisher = Recorder()
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        await is_true(lambda: len(publisher.entries) == 3)
        commit = await world.write(post_id(1), created())
        await is_true(lambda: len(publisher.entries) == 6)
    assert publisher.entries[:3] == [Watermark(0, 0, 0), Watermark(1, 0, 0), Watermark(2, 0, 0)]
    assert publisher.entries[3:] == [CommitEntry(1, 0, commit), Watermark(0, 0, 1), Watermark(2, 0, 1)]


async def test_many_partitions_get_watermarks_a_little_later_and_not_with_every_commit(world: World) -> None:
    publisher = Recorder()
    publisher.count = 1_000
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        for number in range(100):
            await world.write(post_id(number % 3), liked())
            await asyncio.sleep(0)
        await is_true(lambda: all(told(publisher, partition) == 100 for partition in range(1_000)))
    assert len(publisher.entries) < 10 * 1_000


def told(publisher: Recorder, partition: int) -> int:
    """The last position that the partition heard of."""
    for entry in reversed(publisher.entries):
        if entry.partition == partition:
            return entry.commit.position if isinstance(entry, CommitEntry) else entry.position
    return -1


async def test_an_idle_relay_reminds_every_partition_again_and_again(world: World) -> None:
    publisher = Recorder()
    await world.write(post_id(0), created())
    async with running(world.relay(publisher, watermark_seconds=WATERMARK_SECONDS).run()):
        await is_true(lambda: publisher.entries.count(Watermark(1, 1, 1)) >= 3)
        await is_true(lambda: publisher.entries.count(Watermark(0, 1, 1)) >= 3)


async def test_a_relay_starts_at_the_checkpoint_and_claims_nothing_about_what_was_before(world: World) -> None:
    for _ in range(12):
        await world.write(post_id(0), liked())
    world.memory_log.relay.position = 10
    publisher = Recorder()
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        await checkpoint_is(world, 12)
    assert publisher.positions == [11, 12]
    assert publisher.entries[0] == CommitEntry(0, 10, (await world.log.read(10, 1))[0])
    assert Watermark(1, 10, 12) in publisher.entries


async def test_the_checkpoint_waits_for_the_acknowledgement(world: World) -> None:
    publisher = Recorder(held=True)
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        await is_true(lambda: len(publisher.calls) == 1)
        await world.write(post_id(0), liked())
        await is_true(lambda: len(publisher.calls) == 2)
        await world.write(post_id(0), liked())
        await is_true(lambda: len(publisher.calls) == 3)
        publisher.release(2)
        publisher.release(0)
        await asyncio.sleep(0.01)
        assert world.memory_log.relay.position == 0, "the second publication was acknowledged, the first was not"
        publisher.release(1)
        await checkpoint_is(world, 2)


async def test_no_more_than_a_few_publications_are_under_way(world: World) -> None:
    publisher = Recorder(held=True)
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        for _ in range(20):
            await world.write(post_id(0), liked())
            await asyncio.sleep(0)
        await is_true(lambda: len(publisher.calls) == 4)
        await asyncio.sleep(0.01)
        assert len(publisher.calls) == 4


async def test_after_a_failed_delivery_it_restarts_at_the_checkpoint(world: World) -> None:
    publisher = Recorder(failures=1)
    for _ in range(5):
        await world.write(post_id(0), liked())
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        await checkpoint_is(world, 5)
    assert publisher.positions == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert publisher.entries.count(CommitEntry(0, 0, (await world.log.read(0, 1))[0])) == 2
    assert world.metrics.counts["relay_interruptions"] == 1


async def test_a_bus_that_is_away_is_asked_again_and_again(world: World) -> None:
    publisher = Recorder(failures=3)
    await world.write(post_id(0), liked())
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        await checkpoint_is(world, 1)
    assert world.metrics.counts["relay_interruptions"] == 3


async def test_a_standby_relay_takes_over_when_the_other_stops(world: World) -> None:
    first, second = Recorder(), Recorder()
    leading = asyncio.create_task(world.relay(first).run())
    await is_true(lambda: len(first.calls) > 0)
    async with running(world.relay(second, lease_seconds=0.2).run()):
        await world.write(post_id(0), liked())
        await is_true(lambda: first.positions == [1])
        assert second.positions == []
        leading.cancel()
        with suppress(asyncio.CancelledError):
            await leading
        await world.write(post_id(0), liked())
        await is_true(lambda: 2 in second.positions)
    assert second.positions == [2], "the checkpoint was stored before the lease was given back"


async def test_a_relay_that_died_is_replaced_when_its_lease_has_ended(world: World) -> None:
    dead = await MemoryRelayState(world.memory_log).acquire("a relay that was killed", 0.1)
    assert dead is not None
    publisher = Recorder()
    await world.write(post_id(0), liked())
    async with running(world.relay(publisher, lease_seconds=0.2).run()):
        await checkpoint_is(world, 1)


async def test_a_lease_is_renewed_while_there_is_nothing_to_do(world: World) -> None:
    async with running(world.relay(Recorder(), lease_seconds=0.15, watermark_seconds=FAR).run()):
        await is_true(lambda: world.memory_log.relay.token == 1)
        end = world.memory_log.relay.ends_at
        await is_true(lambda: world.memory_log.relay.ends_at > end + 0.1)
        assert world.memory_log.relay.token == 1


async def test_a_relay_that_lost_its_lease_stops_publishing(world: World) -> None:
    publisher = Recorder()
    relay = world.relay(publisher, lease_seconds=0.1, watermark_seconds=FAR)
    async with running(relay.run()):
        await is_true(lambda: len(publisher.calls) == 1)
        record = world.memory_log.relay
        record.owner, record.token, record.ends_at = "another", record.token + 1, record.ends_at + FAR
        await is_true(lambda: world.metrics.gauges["relay_active"] == 0)
        await world.write(post_id(0), liked())
        await asyncio.sleep(0.05)
        assert publisher.positions == []
    assert (record.owner, record.position) == ("another", 0)


async def test_a_relay_whose_checkpoint_is_refused_stops_publishing_long_before_it_would_renew(world: World) -> None:
    publisher = Recorder()
    relay = world.relay(publisher, lease_seconds=FAR, watermark_seconds=FAR)
    async with running(relay.run()):
        await is_true(lambda: len(publisher.calls) == 1)
        record = world.memory_log.relay
        record.owner, record.token = "another", record.token + 1
        await world.write(post_id(0), liked())
        await is_true(lambda: world.metrics.gauges["relay_active"] == 0)
    assert (record.owner, record.position) == ("another", 0)


async def test_a_cancelled_relay_gives_its_lease_back_though_the_bus_hangs(world: World) -> None:
    publisher = Recorder(held=True)
    await world.write(post_id(0), liked())
    task = asyncio.create_task(world.relay(publisher).run())
    await is_true(lambda: len(publisher.calls) == 1)
    await stopped(task)
    assert (world.memory_log.relay.owner, world.memory_log.relay.position) == (None, 0)


async def test_a_relay_can_be_cancelled_in_the_moment_of_a_failure(world: World) -> None:
    publisher = SlowToStop(held=True)
    task = asyncio.create_task(world.relay(publisher, watermark_seconds=FAR).run())
    await is_true(lambda: len(publisher.calls) == 1)
    await world.write(post_id(0), liked())
    await is_true(lambda: len(publisher.calls) == 2)
    publisher._waiting[0].set_exception(BusUnavailable("now"))
    await is_true(lambda: publisher.stopping)
    await stopped(task)


class SlowToStop(Recorder):
    """A publication that is cancelled takes its time."""

    stopping = False

    async def publish(self, publication: Publication) -> int:
        try:
            return await super().publish(publication)
        except asyncio.CancelledError:
            self.stopping = True
            await asyncio.sleep(0.05)
            raise


async def test_a_relay_can_be_cancelled_while_it_pauses(world: World) -> None:
    publisher = Recorder(failures=1_000)
    task = asyncio.create_task(world.relay(publisher).run())
    await is_true(lambda: world.metrics.counts["relay_interruptions"] >= 1)
    await stopped(task)


async def test_commits_do_not_wait_for_the_check_of_the_topic(world: World) -> None:
    class Hanging(Recorder):
        """From the second call on."""

        is_known = False

        async def partitions(self) -> int:
            if self.is_known:
                await asyncio.Event().wait()
            self.is_known = True
            return self.count

    publisher = Hanging()
    await world.write(post_id(0), created())
    async with running(world.relay(publisher).run()):
        await is_true(lambda: publisher.positions == [1])


async def test_it_restarts_when_the_topic_gets_more_partitions(world: World) -> None:
    publisher = Recorder()
    async with running(world.relay(publisher).run()):
        await is_true(lambda: len(publisher.calls) >= 1)
        publisher.count = 4
        await is_true(lambda: any(call.partitions == 4 for call in publisher.calls))
        await world.write(post_id(0), liked())
        await is_true(lambda: publisher.positions == [1])


async def test_a_log_that_is_away_for_a_while_interrupts_and_loses_nothing(world: World) -> None:
    publisher = Recorder()
    log = Flaky(world.memory_log)
    relay = world.relay(publisher)
    relay._log = log
    async with running(relay.run()):
        await is_true(lambda: len(publisher.calls) >= 1)
        log.away = True
        await world.write(post_id(0), liked())
        await is_true(lambda: world.metrics.counts["relay_interruptions"] >= 1)
        log.away = False
        await checkpoint_is(world, 1)
    assert publisher.positions == [1]


def restore_older(log: MemoryLog, tip: int) -> None:
    """As after a restore: the log ends at `tip`, and the relay's checkpoint was not restored."""
    commits = log.page(0, tip)
    log._entries.clear()
    log._streams.clear()
    log.by_commit_id.clear()
    for commit in commits:
        _, *proposed = commit
        log.add(ProposedCommit(*proposed))


async def test_a_checkpoint_beyond_the_log_s_end_goes_back_to_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        await world.write(post_id(number % 3, number // 3), created())
    async with running(world.relay(Recorder()).run()):
        await checkpoint_is(world, 5)
    restore_older(world.memory_log, 2)
    publisher = Recorder()
    async with running(world.relay(publisher).run()):
        await checkpoint_is(world, 2)
        await world.write(post_id(0, 2), created())
        await checkpoint_is(world, 3)
    assert publisher.positions == [3]
    assert "the log was published up to position 5, but ends at 2: it was restored to an older state" in caplog.text


async def test_a_log_that_is_restored_under_a_running_relay_is_published_from_its_end_on(world: World) -> None:
    for number in range(5):
        await world.write(post_id(number % 3, number // 3), created())
    publisher = Recorder()
    async with running(world.relay(publisher).run()):
        await checkpoint_is(world, 5)
        restore_older(world.memory_log, 2)
        await checkpoint_is(world, 2)
        await world.write(post_id(0, 2), created())
        await checkpoint_is(world, 3)
    assert publisher.positions == [1, 2, 3, 4, 5, 3]


class Flaky(MemoryCommitLog):
    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.away = False

    async def read(self, after: int, limit: int = 1_000):  # type: ignore[no-untyped-def]
        if self.away:
            raise StoreUnavailable("The event store does not answer.")
        return await super().read(after, limit)


class Broken(Recorder):
    """Its first publications raise an unexpected error."""

    async def publish(self, publication: Publication) -> int:
        if self.failures:
            self.failures -= 1
            raise AttributeError("'RawBSONDocument' object has no attribute 'update'")
        return await super().publish(publication)


async def test_an_unexpected_error_interrupts_a_relay_and_is_logged_with_its_traceback(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = Broken(failures=2)
    await world.write(post_id(0), liked())
    async with running(world.relay(publisher, watermark_seconds=FAR).run()):
        await checkpoint_is(world, 1)
    assert world.metrics.counts["relay_interruptions"] == 2
    assert "publishing stopped because of a bug in Postlog" in caplog.text
    assert "has no attribute 'update'" in caplog.text


class Hanging(MemoryRelayState):
    """Grants a lease, and answers no renewal."""

    async def renew(self, lease: Lease) -> bool:
        await asyncio.Event().wait()
        return True


async def test_a_relay_whose_renewal_is_not_answered_is_not_active_when_its_lease_may_be_over(world: World) -> None:
    publisher = Recorder()
    gauges: list[float] = []
    relay = world.relay(publisher, Hanging(world.memory_log), lease_seconds=0.2, watermark_seconds=FAR)
    world.metrics.gauge = lambda name, value, **_: gauges.append(value) if name == "relay_active" else None
    async with running(relay.run()):
        await is_true(lambda: gauges[:2] == [1, 0])
    assert world.metrics.counts["relay_interruptions"] >= 1


class Deaf(MemoryCommitLog):
    """One read of it swallows a cancellation, as `asyncio.wait_for` of Python 3.11 does."""

    waiting = swallowed = False

    async def read(self, after: int, limit: int = 1_000):  # type: ignore[no-untyped-def]
        if after and not self.swallowed:
            self.waiting = True
            try:
                await asyncio.sleep(FAR)
            except asyncio.CancelledError:
                self.swallowed = True
        return await super().read(after, limit)


async def test_a_term_ends_though_a_call_in_it_swallowed_the_cancellation(world: World) -> None:
    """The loop that publishes then continues for a moment."""
    publisher = Recorder(held=True)
    await world.write(post_id(0), liked())
    relay = world.relay(publisher, watermark_seconds=FAR, batch_size=1)
    relay._log = log = Deaf(world.memory_log)
    async with running(relay.run()):
        await is_true(lambda: len(publisher.calls) == 1 and log.waiting)
        await world.write(post_id(0), liked())
        publisher._waiting[0].set_exception(BusUnavailable("now"))
        await is_true(lambda: world.metrics.counts["relay_interruptions"] == 1)
        await is_true(lambda: publisher.positions.count(2) == 2)


def commit(position: int, stream: PostId) -> Commit:
    return Commit(
        position=position,
        stream_id=stream,
        version=1,
        commit_id=f"commit-{position}",
        recorded_at=RECORDED_AT,
        metadata={},
        events=(liked(),),
    )


def test_each_commit_names_the_position_that_was_sent_to_its_partition_before() -> None:
    first, second, third = commit(11, post_id(0)), commit(12, post_id(1)), commit(13, post_id(0))
    plan = PublicationPlan("log", 3, 10)
    assert plan.commits([first, second, third]) == [
        CommitEntry(0, 10, first),
        CommitEntry(1, 10, second),
        CommitEntry(0, 11, third),
    ]
    assert plan.position == 13


def test_partitions_without_commits_get_watermarks() -> None:
    plan = PublicationPlan("log", 3, 10)
    plan.commits([commit(11, post_id(0)), commit(12, post_id(1))])
    assert not plan.is_even
    assert plan.watermarks() == [Watermark(0, 11, 12), Watermark(2, 10, 12)]
    assert plan.is_even
    assert plan.watermarks() == []


def test_a_commit_behind_a_watermark_follows_the_watermark() -> None:
    plan = PublicationPlan("log", 3, 0)
    plan.commits([commit(1, post_id(0))])
    plan.watermarks()
    second = commit(2, post_id(1))
    assert plan.commits([second]) == [CommitEntry(1, 1, second)]


def test_every_partition_is_reminded_though_nothing_is_new() -> None:
    plan = PublicationPlan("log", 3, 10)
    plan.commits([commit(11, post_id(2))])
    assert plan.reminders() == [Watermark(0, 10, 11), Watermark(1, 10, 11), Watermark(2, 11, 11)]
    assert plan.reminders() == [Watermark(0, 11, 11), Watermark(1, 11, 11), Watermark(2, 11, 11)]


def test_a_publication_names_the_log_and_the_number_of_partitions() -> None:
    plan = PublicationPlan("log", 3, 10)
    assert plan.publication(plan.reminders()[:1]) == Publication("log", 3, [Watermark(0, 10, 10)])
