"""The same log gives the same rows, whatever the engine, the size of a batch, and wherever a rebuild was killed."""

import itertools
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapters.memory.log import MemoryLog
from adapters.postgres.read_db import postgres_read_db
from adapters.sqlite.read_db import sqlite_read_db
from application.ports.generations import BuildState
from contracts.maintained import maintained_in_sql
from contracts.rebuilding import Maintained, random_command, write
from small_system import SmallSystem

BATCHES = (1, 7, 1_000)


@pytest.fixture
async def engines(tmp_path: Path, fresh_postgres_url: str) -> AsyncIterator[dict[str, Maintained]]:
    openers = {
        "sqlite": maintained_in_sql(lambda: sqlite_read_db(tmp_path / "read.sqlite")),
        "postgres": maintained_in_sql(lambda: postgres_read_db(fresh_postgres_url, pool_size=4)),
    }
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(opener()) for name, opener in openers.items()}


@pytest.mark.parametrize(
    ("seeds", "kills"),
    [
        pytest.param(range(1), (1,), id="one history"),
        pytest.param(range(1, 21), (0, 1, 2), id="20 histories", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
    ],
)
async def test_every_rebuild_of_one_log_gives_the_same_rows(
    engines: dict[str, Maintained], seeds: range, kills: tuple[int, ...]
) -> None:
    for seed in seeds:
        choice = random.Random(seed)
        log = MemoryLog()
        systems = {
            name: SmallSystem(log, read_side=engine.read_side, batch_size=50) for name, engine in engines.items()
        }
        await write(systems["sqlite"], *(random_command(choice, 20) for _ in range(250)))
        dumps: dict[str, list[str]] = {}
        for name, engine in engines.items():
            async for _ in engine.rebuild(systems[name]).run():  # the rows of the history before are another log's
                continue
            async with systems[name].projecting():
                await systems[name].caught_up(30)
            live = await engine.dump()
            for batch, killed_after in itertools.product(BATCHES, kills):
                await _rebuild(engine, systems[name], batch, choice.randint(1, 1 + 40 // batch) if killed_after else 0)
                dumps[f"{seed} {name} {batch} {killed_after}"] = await engine.dump()
            dumps[f"{seed} {name} live"] = live
        assert len(live) > 10
        assert [where for where, dump in dumps.items() if dump != live] == []


async def _rebuild(engine: Maintained, system: SmallSystem, batch: int, killed_after: int) -> None:
    """Killed after so many batches, if it is not done by then, and resumed."""
    building = engine.rebuild(system, batch).run()
    for _ in range(killed_after + 1 if killed_after else 0):
        stopped = await anext(building, None)
    await building.aclose()
    async for build in engine.rebuild(system, batch).run():
        last = build
    assert last.state is BuildState.LIVE
    if killed_after and stopped is not None and stopped.state is not BuildState.LIVE:
        assert last.generation == stopped.generation
