"""S12: commands acknowledged a second, 64 in flight, while `postlog rebuild` fills PostgreSQL from the same log in a
process of its own, and while it does not.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg
import pymongo
import uvloop

from benchmarks.bench import POSTLOG, Bench, environment, opened, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_mongo
from benchmarks.rounds import WrongResult, require
from benchmarks.s07_s09_rebuild_postgres import psycopg_url
from benchmarks.workload import commits
from benchmarks.writing import Writers
from entrypoints.settings.model import Settings

ROWS = ("S12",)
_EVENTS, _IN_FLIGHT, _FIRST_POST = 200_000, 64, 10_000_000
_SECONDS, _SHORTEST = 3.0, 0.3
_POLL_SECONDS = 0.02


def measure(bench: Bench) -> list[Figure]:
    events = bench.size(_EVENTS)
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres())
    asyncio.run(provision(settings))
    log = settings.event_store.mongo
    fill_mongo(log.url.reveal(), log.database, commits(events))
    ours, theirs, written = uvloop.run(_rounds(settings, bench.rounds))
    with pymongo.MongoClient[dict[str, object]](log.url.reveal()) as client:
        require(client[log.database].commits.count_documents({}), events + written, "commits")
    note = f"a rebuild of {events:,} events in another process; windows of at most {_SECONDS:g} s"
    return [Figure(line="S12", ours=ours, theirs=theirs, unit="commits/s", note=note)]


async def _rounds(settings: Settings, rounds: int) -> tuple[list[float], list[float], int]:
    """The rates beside a rebuild, those without, and how many commits were acknowledged in all."""
    async with opened(settings) as container:
        writers = Writers(container.commands(), _IN_FLIGHT, _FIRST_POST)
        stopping = asyncio.Event()
        writing = asyncio.create_task(writers.run_while(lambda _: not stopping.is_set()))
        try:
            beside: list[float] = []
            alone: list[float] = []
            await _window(writers, lambda: asyncio.sleep(_SECONDS))
            for _ in range(rounds):
                beside.append(await _beside_rebuild(settings, writers))
                alone.append(await _window(writers, lambda: asyncio.sleep(_SECONDS)))
        finally:
            stopping.set()
            await writing
    return beside, alone, writers.written


async def _beside_rebuild(settings: Settings, writers: Writers) -> float:
    rebuild = await asyncio.create_subprocess_exec(
        POSTLOG, "rebuild", "--restart", env=environment(settings), stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await _begun(settings)
    ended = asyncio.create_task(rebuild.wait())
    measured = await _window(writers, lambda: asyncio.wait([ended], timeout=_SECONDS))
    if not ended.done():
        rebuild.terminate()  # the next round begins afresh
        await ended
        return measured
    require(ended.result(), 0, "exit status of the rebuild")
    return measured


async def _begun(settings: Settings) -> None:
    """The first batch is in the rows."""
    building = "SELECT 1 FROM generations WHERE state = 'building' AND position > 0"
    connection = await psycopg.AsyncConnection.connect(psycopg_url(settings.read_db), autocommit=True)
    async with connection, asyncio.timeout(60):
        while await (await connection.execute(building)).fetchone() is None:  # noqa: ASYNC110 (another process's doing)
            await asyncio.sleep(_POLL_SECONDS)


async def _window(writers: Writers, until: Callable[[], Awaitable[object]]) -> float:
    before, started = writers.written, time.perf_counter()
    await until()
    seconds = time.perf_counter() - started
    if seconds < _SHORTEST:
        raise WrongResult(f"the rebuild was over after {seconds:.2f} s: too short to measure beside it")
    return rate(writers.written - before, seconds)
