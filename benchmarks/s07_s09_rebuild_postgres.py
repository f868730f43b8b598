"""S7, S8 and S9: a rebuild from MongoDB into PostgreSQL, beside a naive projector on the same log and an equal
database, beside the projection runner of `eventsourcing` on the same events in PostgreSQL, and beside a loop over the
log that throws away what it reads. The connections of all are open before the clock runs, but the runner's own.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import psycopg
import pymongo

from benchmarks import eventsourcing_posts, naive_projector
from benchmarks.bench import Bench, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_mongo
from benchmarks.mongo_loop import loop_seconds
from benchmarks.naive_projector import NaiveEvent
from benchmarks.rebuilding import check_rows, rebuild_seconds
from benchmarks.rounds import in_turn
from benchmarks.workload import commits, expected
from entrypoints.settings.model import Mongo, ReadDb, Settings

ROWS = ("S7", "S8", "S9")
_EVENTS, _NAIVE_EVENTS = 200_000, 1_000


def measure(bench: Bench) -> list[Figure]:
    events, naive_events = bench.size(_EVENTS), bench.size(_NAIVE_EVENTS)
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres())
    naive_settings = Settings(event_store=settings.event_store, read_db=bench.empty_postgres())
    asyncio.run(provision(settings))
    runner_settings = Settings(event_store=settings.event_store, read_db=bench.empty_postgres())
    asyncio.run(provision(naive_settings))
    asyncio.run(provision(runner_settings))
    runner = eventsourcing_posts.environment(runner_settings.read_db.postgres.url.reveal())
    eventsourcing_posts.fill(runner, commits(naive_events))
    log = settings.event_store.mongo
    fill_mongo(log.url.reveal(), log.database, commits(events))
    ours, naive, library, loop = in_turn(
        bench.rounds,
        lambda: rate(events, rebuild_seconds(settings)),
        lambda: rate(naive_events, _naive_seconds(log, naive_settings.read_db, naive_events)),
        lambda: rate(naive_events, _runner_seconds(runner)),
        lambda: rate(events, loop_seconds(log, events)),
    )
    with psycopg.connect(psycopg_url(settings.read_db)) as connection:
        check_rows(connection.execute, expected(commits(events)))
    for each in (naive_settings, runner_settings):
        with psycopg.connect(psycopg_url(each.read_db)) as connection:
            check_rows(connection.execute, expected(commits(naive_events)), "posts_a", "comments_a")
    sizes = f"{events:,} events, one a commit"
    return [
        Figure(line="S7", ours=ours, theirs=naive, unit="events/s", note=f"{sizes}; naive side on {naive_events:,}"),
        Figure(
            line="S8", ours=ours, theirs=library, unit="events/s", note=f"{sizes}; eventsourcing on {naive_events:,}"
        ),
        Figure(line="S9", ours=ours, theirs=loop, unit="events/s", note=sizes),
    ]


def psycopg_url(read_db: ReadDb) -> str:
    return read_db.postgres.url.reveal().replace("+psycopg", "", 1)


def _naive_seconds(log: Mongo, read_db: ReadDb, events: int) -> float:
    with pymongo.MongoClient[Any](log.url.reveal()) as client, psycopg.connect(psycopg_url(read_db)) as connection:
        connection.execute(naive_projector.CHECKPOINT)

        def execute(statement: str, values: tuple[Any, ...]) -> None:
            connection.execute(statement.replace("?", "%s").encode(), values)

        naive_projector.start(execute, connection.commit)
        started = time.perf_counter()
        naive_projector.project(itertools.islice(_events(client[log.database]), events), execute, connection.commit)
        return time.perf_counter() - started


def _runner_seconds(runner: Mapping[str, str]) -> float:
    eventsourcing_posts.forget(runner)
    started = time.perf_counter()
    eventsourcing_posts.project(runner)
    return time.perf_counter() - started


def _events(database: Any) -> Iterator[NaiveEvent]:
    for document in database.commits.find(sort=[("_id", 1)]):
        for version, event in enumerate(msgspec.json.decode(document["events"]), document["version"]):
            yield document["_id"], document["streamId"], version, event["type"], event["data"]
