"""S10: a rebuild on SQLite, beside a naive projector on the same log and an equal file; with `synchronous=FULL` on both
sides, and with `NORMAL`, which is how Postlog keeps its read database: nobody then waits for the disk at a commit.
"""

import asyncio
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, event

from benchmarks import naive_projector
from benchmarks.bench import Bench, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_sqlite
from benchmarks.naive_projector import NaiveEvent
from benchmarks.rebuilding import check_rows, rebuild_seconds
from benchmarks.rounds import in_turn
from benchmarks.workload import commits, expected
from entrypoints.settings.model import Settings

ROWS = ("S10",)
_EVENTS = 200_000
_NAIVE_EVENTS = {"FULL": 2_000, "NORMAL": 20_000}

Synchronous = Literal["FULL", "NORMAL"]


def measure(bench: Bench) -> list[Figure]:
    events = bench.size(_EVENTS)
    settings, naive_settings = bench.sqlite("rebuild"), bench.sqlite("naive")
    for each in (settings, naive_settings):
        asyncio.run(provision(each))
    fill_sqlite(Path(settings.event_store.sqlite.path), commits(events))
    return [
        _measure(bench, "S10", settings, naive_settings, "FULL"),
        _measure(bench, "S10 NORMAL", settings, naive_settings, "NORMAL"),
    ]


def _measure(bench: Bench, line: str, settings: Settings, naive_settings: Settings, synchronous: Synchronous) -> Figure:
    events, naive_events = bench.size(_EVENTS), bench.size(_NAIVE_EVENTS[synchronous])
    log = Path(settings.event_store.sqlite.path)
    rows, naive_rows = (Path(each.read_db.sqlite.path) for each in (settings, naive_settings))
    with _every_engine(synchronous):
        ours, theirs = in_turn(
            bench.rounds,
            lambda: rate(events, rebuild_seconds(settings)),
            lambda: rate(naive_events, _naive_seconds(log, naive_rows, naive_events, synchronous)),
        )
    with closing(sqlite3.connect(rows)) as connection:
        check_rows(connection.execute, expected(commits(events)))
    with closing(sqlite3.connect(naive_rows)) as connection:
        check_rows(connection.execute, expected(commits(naive_events)), "posts_a", "comments_a")
    note = f"{events:,} events, one a commit; naive side on {naive_events:,}; synchronous={synchronous} on both sides"
    return Figure(line=line, ours=ours, theirs=theirs, unit="events/s", note=note)


@contextmanager
def _every_engine(synchronous: Synchronous) -> Iterator[None]:
    """Connections that SQLAlchemy makes meanwhile are so, whatever they were set to first."""

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA synchronous = {synchronous}")

    event.listen(Engine, "connect", prepare)
    try:
        yield
    finally:
        event.remove(Engine, "connect", prepare)


def _naive_seconds(log: Path, rows: Path, events: int, synchronous: Synchronous) -> float:
    with closing(sqlite3.connect(log)) as reading, closing(sqlite3.connect(rows)) as writing:
        writing.execute(f"PRAGMA synchronous = {synchronous}")
        writing.execute(naive_projector.CHECKPOINT)

        def execute(statement: str, values: tuple[Any, ...]) -> None:
            writing.execute(statement, values)

        naive_projector.start(execute, writing.commit)
        started = time.perf_counter()
        naive_projector.project(itertools.islice(_events(reading), events), execute, writing.commit)
        return time.perf_counter() - started


def _events(log: sqlite3.Connection) -> Iterator[NaiveEvent]:
    for position, post_id, first, events in log.execute(
        "SELECT position, stream_id, version, events FROM commits ORDER BY position"
    ):
        for version, stored in enumerate(json.loads(events), first):
            yield position, post_id, version, stored["type"], stored["data"]
