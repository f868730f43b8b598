"""The positions of log, bus and rows, as operators see them: also while a server is away, and over time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.memory.generations import MemoryGenerations
from application.errors import ReadDbUnavailable, StoreUnavailable
from application.ports.read_db import Checkpoint, RowChanges, RowKeys
from application.ports.relay_state import RelayStatus
from application.query_side.pipeline_sampler import ObservedBetween, PartitionState, PipelineSampler
from application.query_side.status import (
    GetPipelineStatus,
    PartitionStatus,
    PipelineStatus,
    RowsStatus,
    StatusQueries,
)
from command_process import ANYBODY, SteppingClock
from domain.commands import CreatePost, LikePost
from domain.ids import PostId
from given import NOON, POST
from small_system import SmallSystem

OTHER = PostId("0198c0de-0000-7000-8000-000000000002")
CREATED = [CreatePost(post_id=post, author="Ann", message="Hello", date_posted=NOON) for post in (POST, OTHER)]
LIKES = [LikePost(post_id=POST, username=f"Bob {number}") for number in range(3)]


class Relay:
    def __init__(self, status: RelayStatus | None) -> None:
        self.status = status

    async def state(self) -> RelayStatus | None:
        return self.status


class AnHourLater(SteppingClock):
    def __init__(self) -> None:
        super().__init__()
        self._now += timedelta(hours=1)


def query(system: SmallSystem, relay: Relay | None = None) -> StatusQueries:
    return StatusQueries(
        adapter="memory",
        views=system.views,
        store=system.store,
        generations=MemoryGenerations(system.read_db),
        log=system.commit_log,
        relay_state=relay,
        clock=AnHourLater(),
    )


async def written(*commands) -> SmallSystem:
    system = SmallSystem()
    for command in commands:
        await system.process.commands.handle(command, ANYBODY)
    return system


def at(system: SmallSystem, *positions: int) -> None:
    """As many partitions as positions, each checkpoint at one of them."""
    generation = system.read_db.live.generation
    system.read_db.live = replace(system.read_db.live, partitions=len(positions), ready=True)
    system.read_db.checkpoints[generation] = {
        partition: Checkpoint(partition=partition, position=position) for partition, position in enumerate(positions)
    }


class TestStatus:
    async def test_missing_commits_and_events_are_counted_and_dated(self):
        system = await written(*CREATED, *LIKES)
        at(system, 3)
        status = await query(system).pipeline(GetPipelineStatus())
        [only] = status.rows.partitions
        assert (status.tip, status.rows.position) == (5, 3)
        assert (only.commits, only.events, only.at_least) == (2, 2, False)

    async def test_missing_commits_are_dated_from_when_the_rows_could_have_had_them(self):
        """Not from `recordedAt`, which here is long before they came into the log."""
        system = await written(*CREATED)
        at(system, 0)
        asked = query(system)
        first = (await asked.pipeline(GetPipelineStatus())).rows.partitions[0].since
        later = (await asked.pipeline(GetPipelineStatus())).rows.partitions[0].since
        oldest = (await system.commit_log.read(0, 1))[0]
        assert abs(later - first) < timedelta(milliseconds=10) < first - oldest.recorded_at

    async def test_a_partition_lacks_only_what_belongs_to_it(self):
        """Of two partitions at position 2, the one of POST lacks all its later commits, the other none."""
        system = await written(*CREATED, *LIKES)
        at(system, 2, 2)
        status = await query(system).pipeline(GetPipelineStatus())
        assert sorted(each.commits for each in status.rows.partitions) == [0, 3]
        assert status.rows.commits == 3

    async def test_a_large_lag_is_reported_as_at_least_so_many(self, monkeypatch):
        monkeypatch.setattr("application.query_side.status._COUNTED", 2)
        system = await written(*CREATED, *LIKES)
        at(system, 0)
        [only] = (await query(system).pipeline(GetPipelineStatus())).rows.partitions
        assert (only.commits, only.events, only.at_least) == (5, 2, True)

    async def test_rows_that_are_up_to_date_lack_nothing(self):
        system = await written(*CREATED)
        at(system, 2)
        status = await query(system).pipeline(GetPipelineStatus())
        assert (status.rows.commits, status.rows.events, status.rows.since, status.problems) == (0, 0, None, [])

    async def test_a_generation_is_live_since_it_ended_the_one_before(self):
        system = await written(*CREATED)
        began = (await query(system).pipeline(GetPipelineStatus())).rows.live_since
        assert began == system.read_db.builds[1].started_at
        generations, swapped_at = MemoryGenerations(system.read_db), NOON + timedelta(hours=1)
        build = await generations.empty(await generations.begin("log", 2, NOON), NOON)
        async with generations.swap(build, keep_checkpoints=False) as swap:
            await swap.finish(replace(build, updated_at=swapped_at), RowKeys((), ()), lambda _: RowChanges())
        status = await query(system).pipeline(GetPipelineStatus())
        assert (status.rows.generation, status.rows.live_since) == (2, swapped_at)

    async def test_a_read_database_that_is_away_is_reported_beside_the_other_figures(self):
        system = await written(*CREATED)

        async def away(*_):
            raise ReadDbUnavailable("The read database does not answer.")

        system.store.live = away
        status = await query(system, Relay(RelayStatus(owner="r1", token=1, position=1))).pipeline(GetPipelineStatus())
        assert (status.tip, status.rows, status.relay.position) == (2, None, 1)
        assert status.problems == ["The read database does not answer."]

    async def test_a_log_that_is_away_is_reported_beside_the_other_figures(self):
        system = await written(*CREATED)
        at(system, 2)

        async def away(*_):
            raise StoreUnavailable("The log does not answer.")

        system.commit_log.tip = away
        status = await query(system).pipeline(GetPipelineStatus())
        assert (status.tip, status.rows.position, status.problems) == (None, 2, ["The log does not answer."])

    async def test_a_bus_without_a_relay_is_reported(self):
        system = await written(*CREATED)
        status = await query(system, Relay(None)).pipeline(GetPipelineStatus())
        assert (status.relay.owner, status.relay.position) == (None, 0)


class Scripted:
    """A pipeline at the positions that a test sets, each sample a second later."""

    def __init__(self, samples_kept: int = 1_800) -> None:
        self.at = NOON
        self.tip: int | None = 0
        self.position: int | None = 0
        self.sampler = PipelineSampler(self._get, samples_kept)

    async def sample(self, tip: int | None, position: int | None) -> PipelineStatus:
        self.tip, self.position = tip, position
        self.at += timedelta(seconds=1)
        return await self.sampler.sample()

    def partition(self) -> PartitionStatus:
        lacking = max(0, (self.tip or 0) - (self.position or 0))
        return PartitionStatus(
            partition=0, position=self.position or 0, commits=lacking, events=lacking, since=None, at_least=False
        )

    async def _get(self, _: GetPipelineStatus) -> PipelineStatus:
        rows = None
        if self.position is not None:
            rows = RowsStatus(
                adapter="memory",
                generation=1,
                live_since=None,
                ready=True,
                position=self.position,
                parked=0,
                partitions=[self.partition()],
            )
        return PipelineStatus(at=self.at, tip=self.tip, rows=rows, relay=None, problems=())

    def pace(self):
        return self.sampler.throughput_of(self.partition())


class TestSampler:
    async def test_rates_are_those_of_the_last_seconds(self):
        scripted = Scripted()
        for number in range(30):
            await scripted.sample(tip=number * 100 if number < 15 else 1_400, position=number * 10)
        assert scripted.sampler.rate_of(lambda sample: sample.rows.position) == pytest.approx(10)
        assert scripted.sampler.rate_of(lambda sample: sample.tip) == 0

    async def test_a_partition_that_gains_on_the_log_is_catching_up_with_time_left(self):
        scripted = Scripted()
        for number in range(10):
            await scripted.sample(tip=1_000, position=number * 10)
        assert (scripted.pace().state, scripted.pace().seconds_left) == (PartitionState.CATCHING_UP, pytest.approx(91))

    async def test_a_partition_that_falls_further_behind_has_no_time_left(self):
        scripted = Scripted()
        for number in range(10):
            await scripted.sample(tip=number * 100, position=number * 10)
        assert (scripted.pace().state, scripted.pace().seconds_left) == (PartitionState.CATCHING_UP, None)

    async def test_a_partition_that_does_not_move_for_a_while_though_there_is_something_to_do_is_stalled(self):
        scripted = Scripted()
        for _ in range(20):
            await scripted.sample(tip=5, position=5)
        await scripted.sample(tip=6, position=5)
        assert scripted.pace().state is PartitionState.CATCHING_UP
        for _ in range(6):
            await scripted.sample(tip=6, position=5)
        assert scripted.pace().state is PartitionState.STALLED
        await scripted.sample(tip=6, position=6)
        assert scripted.pace().state is PartitionState.UP_TO_DATE

    async def test_a_clock_that_was_set_back_neither_invents_a_rate_nor_hides_a_stalled_partition(self):
        scripted = Scripted()
        for number in range(5):
            await scripted.sample(tip=50, position=number)
        scripted.at -= timedelta(hours=1)
        await scripted.sample(tip=50, position=5)
        assert (scripted.pace().rate, scripted.pace().state) == (0, PartitionState.CATCHING_UP)
        for _ in range(7):
            await scripted.sample(tip=50, position=5)
        assert scripted.pace().state is PartitionState.STALLED

    async def test_a_position_was_first_reached_between_two_samples(self):
        scripted = Scripted()
        before = await scripted.sample(tip=5, position=4)
        await scripted.sample(tip=5, position=None)
        seen = await scripted.sample(tip=5, position=5)
        await scripted.sample(tip=9, position=9)
        rows = lambda sample: sample.rows and sample.rows.position  # noqa: E731
        assert scripted.sampler.observed(5, rows) == ObservedBetween(before.at, seen.at)
        assert scripted.sampler.observed(4, rows) is None
        assert scripted.sampler.observed(10, rows) is None

    async def test_only_the_last_samples_are_kept(self):
        scripted = Scripted(samples_kept=5)
        for number in range(9):
            await scripted.sample(tip=number, position=number)
        assert [sample.tip for sample in scripted.sampler.samples] == [4, 5, 6, 7, 8]
