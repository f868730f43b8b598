"""Rebuilds as operators see them: any process derives the same state from the rows of the builds and the lock."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from adapters.memory.generations import MemoryGenerations, MemoryRebuildProcess
from application.errors import RebuildEnded, RebuildNotFound, RebuildNotPossible, RebuildRunning, StoreUnavailable
from application.maintenance.progress import describe_progress, events_per_second, seconds_left
from application.maintenance.rebuild import Rebuild
from application.maintenance.rebuilds import RebuildState, RebuildStatus
from application.ports.generations import Build, BuildState, Generations
from command_process import ANYBODY
from domain.commands import CreatePost, LikePost
from given import NOON, POST
from small_system import SmallSystem


class Operated:
    """A system with 40 commits, whose rebuild continues by one batch whenever `gate` is set."""

    def __init__(self) -> None:
        self.system = SmallSystem()
        self.generations = MemoryGenerations(self.system.read_db)
        self.gate = asyncio.Event()
        self.processes = MemoryRebuildProcess(self._run)
        self.rebuilds = self.system.container.rebuilds(
            adapters=["memory"], generations_of=self._generations_of, process=self.processes
        )

    async def write(self) -> None:
        await self.system.process.commands.handle(
            CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON), ANYBODY
        )
        for _ in range(39):
            await self.system.process.commands.handle(LikePost(post_id=POST, username=None), ANYBODY)

    async def _generations_of(self, adapter: str) -> Generations:
        assert adapter == "memory"
        return self.generations

    async def _run(self) -> AsyncIterator[Build]:
        async for build in self.rebuild().run():
            yield build
            await self.gate.wait()

    def rebuild(self) -> Rebuild:
        return self.system.container.rebuild(generations=self.generations, batch_events=10)

    async def until(self, state: RebuildState, rebuild_id: str = "memory-2") -> RebuildStatus:
        async with asyncio.timeout(5):
            while (status := await self.rebuilds.status(rebuild_id)).state is not state:
                await asyncio.sleep(0)
        return status


@pytest.fixture
async def operated() -> AsyncIterator[Operated]:
    operated = Operated()
    await operated.write()
    async with operated.processes:
        yield operated


async def test_a_rebuild_is_started_watched_and_done(operated: Operated) -> None:
    begun = await operated.rebuilds.begin()
    operated.gate.set()
    done = await operated.until(RebuildState.SWAPPED)

    assert (begun.id, begun.adapter, begun.state) == ("memory-2", "memory", RebuildState.RUNNING)
    assert (begun.position, begun.target, begun.events_per_second, begun.error) == (0, 40, None, None)
    assert (done.position, done.target, done.seconds_left, done.error) == (40, 40, None, None)
    assert done.started_at == begun.started_at
    assert operated.system.read_db.live.generation == 2
    assert [status.id for status in await operated.rebuilds.recent()] == ["memory-2"]


def test_a_clock_that_was_set_back_gives_no_speed_and_no_time_left() -> None:
    build = Build(
        generation=2,
        slot="b",
        state=BuildState.BUILDING,
        log_id="log",
        position=10,
        commit_id="commit-10",
        target=40,
        events=10,
        started_at=NOON,
        updated_at=NOON - timedelta(hours=1),
    )
    assert (events_per_second(build), seconds_left(build)) == (None, None)
    assert describe_progress(build) == "generation 2 at position 10 of 40"


async def test_a_second_one_is_refused_and_names_the_first(operated: Operated) -> None:
    await operated.rebuilds.begin()
    with pytest.raises(RebuildRunning) as refused:
        await operated.rebuilds.begin("memory")
    assert refused.value.rebuild_id == "memory-2"
    assert refused.value.message == "Rebuild memory-2 is running, at position 0 of 40. Wait for it, or cancel it."


async def test_a_second_one_that_begins_at_the_same_moment_is_refused_by_the_lock(operated: Operated) -> None:
    begun = await asyncio.gather(*(operated.rebuilds.begin() for _ in range(3)), return_exceptions=True)
    refused = [each for each in begun if isinstance(each, RebuildRunning)]
    assert [each.id for each in begun if isinstance(each, RebuildStatus)] == ["memory-2"]
    assert len(refused) == 2


async def test_a_cancelled_rebuild_writes_no_more_and_lets_another_start(operated: Operated) -> None:
    await operated.rebuilds.begin()
    cancelled = await operated.rebuilds.cancel("memory-2")
    again = await operated.rebuilds.cancel("memory-2")
    operated.gate.set()
    async with asyncio.timeout(5):
        while await operated.generations.is_locked():
            await asyncio.sleep(0)

    assert (cancelled.state, again.state) == (RebuildState.CANCELLED, RebuildState.CANCELLED)
    assert operated.system.read_db.live.generation == 1
    assert (await operated.rebuilds.begin()).id == "memory-3"


async def test_a_rebuild_that_has_ended_can_not_be_cancelled(operated: Operated) -> None:
    operated.gate.set()
    await operated.rebuilds.begin()
    await operated.until(RebuildState.SWAPPED)
    with pytest.raises(RebuildEnded, match="Rebuild memory-2 is done"):
        await operated.rebuilds.cancel("memory-2")
    assert operated.system.read_db.live.generation == 2


async def test_a_rebuild_whose_process_is_gone_has_failed_and_can_be_resumed(operated: Operated) -> None:
    building = operated.rebuild().run()
    for _ in range(3):
        stopped = await anext(building)
    await building.aclose()

    failed = await operated.rebuilds.status("memory-2")
    assert (failed.state, failed.position, failed.seconds_left) == (RebuildState.FAILED, stopped.position, None)
    assert failed.error == (
        "Its process ended before it was done. Start a rebuild again to resume from position 20, or cancel this one."
    )
    assert (await operated.rebuilds.begin()).id == "memory-2"
    operated.gate.set()
    await operated.until(RebuildState.SWAPPED)


async def test_a_failed_rebuild_can_be_cancelled(operated: Operated) -> None:
    building = operated.rebuild().run()
    await anext(building)
    await building.aclose()
    assert (await operated.rebuilds.cancel("memory-2")).state is RebuildState.CANCELLED
    assert (await operated.generations.builds())[0].state is BuildState.CANCELLED


async def test_a_rebuild_that_an_error_stopped_says_which(operated: Operated) -> None:
    async def failing_read(after: int, limit: int = 1_000) -> object:
        raise StoreUnavailable("The log is away.")

    operated.system.commit_log.read_events = failing_read  # type: ignore[method-assign,assignment]
    operated.gate.set()
    await operated.rebuilds.begin()
    failed = await operated.until(RebuildState.FAILED)
    assert failed.error == "The log is away. Start a rebuild again to resume from position 0, or cancel this one."


async def test_a_rebuild_that_ends_between_two_reads_has_not_failed(operated: Operated) -> None:
    """The row is read, then it swaps and releases the lock, then the lock is tried."""
    building = operated.rebuild().run()
    await anext(building)
    is_locked = operated.generations.is_locked

    async def ends_before_the_look() -> bool:
        async for _ in building:
            continue
        return await is_locked()

    operated.generations.is_locked = ends_before_the_look  # type: ignore[method-assign]
    assert (await operated.rebuilds.status("memory-2")).state is RebuildState.SWAPPED


@pytest.mark.parametrize("unknown", ["memory-9", "memory-1", "sqlite-2", "memory", "memory-02", "x" * 300, "memory-2 "])
async def test_what_is_no_rebuild_is_not_found(operated: Operated, unknown: str) -> None:
    """The first generation is none: no rebuild made it."""
    with pytest.raises(RebuildNotFound):
        await operated.rebuilds.status(unknown)
    with pytest.raises(RebuildNotFound):
        await operated.rebuilds.cancel(unknown)


async def test_a_database_that_can_not_be_rebuilt_from_here_is_refused(operated: Operated) -> None:
    with pytest.raises(RebuildNotPossible, match="A rebuild into postgres can't be started here, only into memory"):
        await operated.rebuilds.begin("postgres")
    assert await operated.rebuilds.recent("postgres") == []


async def test_idle_time_does_not_lower_the_rate(operated: Operated) -> None:
    building = operated.rebuild().run()
    for _ in range(3):
        await anext(building)
    await building.aclose()
    builds = operated.system.read_db.builds
    worked = {"started_at": NOON, "updated_at": NOON + timedelta(seconds=4)}
    builds[2] = Build(**{field: getattr(builds[2], field) for field in Build.__slots__} | worked)

    assert describe_progress(builds[2]) == "generation 2 at position 20 of 40, 5 events a second, 4 s left"
    resumed = await anext(operated.rebuild().run())
    assert resumed.updated_at - resumed.started_at == timedelta(seconds=4)
    assert resumed.updated_at > NOON + timedelta(days=1)
