"""The gauges of how far rows and bus are behind the log, sampled beside projectors and relays."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from adapters.memory.generations import MemoryGenerations
from adapters.memory.log import MemoryLog, MemoryRelayState
from adapters.memory.read_db import MemoryPostViews, MemoryReadDb
from application.errors import ReadDbUnavailable
from application.pipeline.lag import BusLag, RowsLag
from application.ports.read_db import Checkpoint
from command_process import SteppingClock
from contracts.bus_handle import World, created, liked, post_id, running
from contracts.log_handle import RECORDED_AT
from contracts.memory_bus import memory_bus
from contracts.waiting import eventually


class Views(MemoryPostViews):
    away = False

    async def stamp(self):  # type: ignore[no-untyped-def]
        if self.away:
            raise ReadDbUnavailable("The read database does not answer.")
        return await super().stamp()


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.pipeline.lag._SECONDS", 0.001)


@pytest.fixture
def world() -> World:
    return World(memory_bus())


def rows_at(read_db: MemoryReadDb, position: int) -> None:
    read_db.live = replace(read_db.live, partitions=1, ready=True)
    read_db.checkpoints[1][0] = Checkpoint(partition=0, position=position)


async def written(world: World, commits: int) -> None:
    await world.write(post_id(0), created())
    for _ in range(commits - 1):
        await world.write(post_id(0), liked())


def gauge_is(world: World, name: str, value: float) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return world.metrics.gauges.get(name) == value

    return look


class SetClock:
    """Returns what it is set to."""

    def __init__(self) -> None:
        self.wall = RECORDED_AT
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.mark.parametrize("recorded", ["now", "years ago", "in years"])
async def test_rows_without_a_projector_lag_by_commits_and_by_the_age_of_the_oldest(
    world: World, recorded: str
) -> None:
    """Whatever time a commit has: history is imported, and writers' clocks are wrong. A clock that is set changes
    nothing."""
    clock = SetClock()
    clock.wall += {"now": timedelta(), "years ago": timedelta(days=2_000), "in years": -timedelta(days=2_000)}[recorded]
    rows_at(world.read_db, 0)
    lag = RowsLag(Views(world.read_db), MemoryGenerations(world.read_db), world.log, clock, world.metrics)
    async with running(lag.run()):
        await eventually(gauge_is(world, "projector_lag", 0))
        await written(world, 3)
        await eventually(gauge_is(world, "projector_lag", 3))
        assert world.metrics.gauges["projector_lag_seconds"] == 0
        clock.pass_by(60)
        await eventually(gauge_is(world, "projector_lag_seconds", 60))
        await written(world, 3)
        clock.wall -= timedelta(hours=5)
        clock.seconds += 30
        await eventually(gauge_is(world, "projector_lag_seconds", 90))
        rows_at(world.read_db, 3)
        await eventually(gauge_is(world, "projector_lag", 3))
        assert world.metrics.gauges["projector_lag_seconds"] <= 30
        rows_at(world.read_db, 6)
        await eventually(gauge_is(world, "projector_lag", 0))
        await eventually(gauge_is(world, "projector_lag_seconds", 0))


async def test_what_was_lacking_when_the_process_started_is_counted_from_then_on(world: World) -> None:
    await written(world, 5)
    rows_at(world.read_db, 2)
    clock = SetClock()
    clock.wall += timedelta(days=2_000)
    async with running(
        RowsLag(Views(world.read_db), MemoryGenerations(world.read_db), world.log, clock, world.metrics).run()
    ):
        await eventually(gauge_is(world, "projector_lag", 3))
        clock.pass_by(7)
        await eventually(gauge_is(world, "projector_lag_seconds", 7))


async def test_a_log_that_grows_while_the_read_database_is_away_shows_as_lag(world: World) -> None:
    await written(world, 1)
    rows_at(world.read_db, 1)
    views = Views(world.read_db)
    async with running(
        RowsLag(views, MemoryGenerations(world.read_db), world.log, SteppingClock(), world.metrics).run()
    ):
        await eventually(gauge_is(world, "projector_lag", 0))
        views.away = True
        await world.write(post_id(0), liked())
        await eventually(gauge_is(world, "projector_lag", 1))


async def test_parked_posts_are_counted_until_they_are_freed(world: World) -> None:
    async with running(
        RowsLag(Views(world.read_db), MemoryGenerations(world.read_db), world.log, SteppingClock(), world.metrics).run()
    ):
        await eventually(gauge_is(world, "parked_streams", 0))
        world.read_db.parked[1] = {post_id(0): None}  # type: ignore[dict-item]
        await eventually(gauge_is(world, "parked_streams", 1))


async def test_a_rebuild_in_another_process_is_seen_beside_the_generation_that_is_live(world: World) -> None:
    await written(world, 3)
    generations = MemoryGenerations(world.read_db)
    async with running(RowsLag(Views(world.read_db), generations, world.log, SteppingClock(), world.metrics).run()):
        await eventually(gauge_is(world, "rebuild_unfinished", 0))
        await generations.begin("log", 3, RECORDED_AT)
        await eventually(gauge_is(world, "rebuild_unfinished", 1))
        assert (world.metrics.gauges["rebuild_position"], world.metrics.gauges["rebuild_target"]) == (0, 3)
        assert world.metrics.gauges["rows_generation"] == 1


async def test_what_no_relay_has_published_lags_by_its_checkpoint(world: World) -> None:
    await written(world, 4)
    state = MemoryRelayState(world.memory_log)
    async with running(BusLag(state, world.log, world.metrics).run()):
        await eventually(gauge_is(world, "relay_lag", 4))
        lease = await state.acquire("relay", 60)
        assert lease is not None
        await state.advance(lease, 3)
        await eventually(gauge_is(world, "relay_lag", 1))


async def test_an_empty_log_has_no_lag() -> None:
    world = World(memory_bus())
    assert isinstance(world.memory_log, MemoryLog)
    async with running(
        RowsLag(Views(world.read_db), MemoryGenerations(world.read_db), world.log, SteppingClock(), world.metrics).run()
    ):
        await eventually(gauge_is(world, "projector_lag", 0))
