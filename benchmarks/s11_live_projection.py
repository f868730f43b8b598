"""S11: a projector that follows the log (MongoDB) into an empty PostgreSQL, beside COPY of as many post rows into a
table with its primary key, in transactions of as many rows as the projector takes commits.
"""

import asyncio
import time
from contextlib import suppress

import psycopg

from benchmarks.bench import Bench, opened, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_mongo
from benchmarks.rebuilding import check_rows
from benchmarks.rounds import in_turn, require
from benchmarks.s07_s09_rebuild_postgres import psycopg_url
from benchmarks.workload import commits, expected, post_id
from benchmarks.writing import MESSAGE
from entrypoints.settings.model import EventStore, Settings

ROWS = ("S11",)
_EVENTS = 50_000
_POLL_SECONDS = 0.02
_TABLE = """CREATE TABLE copied (post_id uuid PRIMARY KEY, status smallint, author text, date_posted timestamptz,
    message text, likes bigint, comments_count integer, version bigint)"""
_COPY = "COPY copied FROM STDIN"


def measure(bench: Bench) -> list[Figure]:
    events = bench.size(_EVENTS)
    log = bench.empty_mongo()
    asyncio.run(provision(Settings(event_store=log, read_db=bench.sqlite("unused").read_db)))
    fill_mongo(log.mongo.url.reveal(), log.mongo.database, commits(events))
    batch = Settings().projector.batch_size
    copied = psycopg_url(bench.empty_postgres())
    with psycopg.connect(copied) as connection:
        connection.execute(_TABLE)
    ours, theirs = in_turn(
        bench.rounds,
        lambda: rate(events, _project_seconds(bench, log, events)),
        lambda: rate(events, _copy_seconds(copied, events, batch)),
    )
    note = f"{events:,} events, one a commit; {batch:,} a transaction"
    return [Figure(line="S11", ours=ours, theirs=theirs, unit="events or rows/s", note=note)]


def _project_seconds(bench: Bench, log: EventStore, events: int) -> float:
    settings = Settings(event_store=log, read_db=bench.empty_postgres())
    asyncio.run(provision(settings))
    seconds = asyncio.run(_project(settings, events))
    with psycopg.connect(psycopg_url(settings.read_db)) as connection:
        check_rows(connection.execute, expected(commits(events)))
    return seconds


async def _project(settings: Settings, events: int) -> float:
    async with opened(settings) as container:
        store = container.read_db().projection_store
        live = await store.live()
        started = time.perf_counter()
        following = asyncio.create_task(container.follower().run())
        try:
            async with asyncio.timeout(600):
                while (at := (await store.checkpoints(live.generation)).get(0)) is None or at.position < events:  # noqa: ASYNC110 (it commits in a thread)
                    await asyncio.sleep(_POLL_SECONDS)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        return time.perf_counter() - started


def _copy_seconds(url: str, rows: int, batch: int) -> float:
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE copied")
        connection.commit()
        started = time.perf_counter()
        for first in range(0, rows, batch):
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                for number in range(first, min(first + batch, rows)):
                    copy.write_row((post_id(number), 1, "ann", "2026-11-23T00:00:00Z", MESSAGE, 0, 0, 1))
            connection.commit()
        seconds = time.perf_counter() - started
        found = connection.execute("SELECT count(*) FROM copied").fetchone()
    require(found, (rows,), "rows")
    return seconds
