"""S19: `postlog events check`, its start included, beside one loop in this process over the same log that throws away
what it reads: documents from a cursor of pymongo's; rows of SQLite's with their JSON decoded.
"""

import asyncio
import json
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from benchmarks.bench import POSTLOG, Bench, environment, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_mongo, fill_sqlite
from benchmarks.mongo_loop import loop_seconds
from benchmarks.rounds import in_turn, require
from benchmarks.workload import commits
from entrypoints.settings.model import Settings

ROWS = ("S19",)
_EVENTS = 1_000_000


def measure(bench: Bench) -> list[Figure]:
    events = bench.size(_EVENTS)
    sqlite, mongo = bench.sqlite("check"), Settings(event_store=bench.empty_mongo())
    asyncio.run(provision(sqlite))
    path = Path(sqlite.event_store.sqlite.path)
    fill_sqlite(path, commits(events))
    figures = [_measure(bench, "S19 SQLite", sqlite, events, lambda: _sqlite_loop_seconds(path, events))]
    path.unlink()
    log = mongo.event_store.mongo
    asyncio.run(provision(mongo))
    fill_mongo(log.url.reveal(), log.database, commits(events))
    return [*figures, _measure(bench, "S19 MongoDB", mongo, events, lambda: loop_seconds(log, events))]


def _measure(bench: Bench, line: str, settings: Settings, events: int, loop: Callable[[], float]) -> Figure:
    ours, theirs = in_turn(
        bench.rounds, lambda: rate(events, _check_seconds(settings, events)), lambda: rate(events, loop())
    )
    return Figure(line=line, ours=ours, theirs=theirs, unit="events/s", note=f"{events:,} events, one a commit")


def _check_seconds(settings: Settings, events: int) -> float:
    started = time.perf_counter()
    checked = subprocess.run(
        [POSTLOG, "events", "check", "--json"], env=environment(settings), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    require(checked.returncode, 0, "exit status of the check")
    counted = [json.loads(line) for line in checked.stdout.splitlines()]
    require(sum(line["events"] for line in counted if "type" in line), events, "events read")
    return seconds


def _sqlite_loop_seconds(log: Path, events: int) -> float:
    decode = msgspec.json.decode
    seen = 0
    with closing(sqlite3.connect(log)) as connection:
        started = time.perf_counter()
        for row in connection.execute(
            "SELECT position, stream_id, version, commit_id, recorded_at, events FROM commits"
        ):
            decode(row[-1])
            seen += 1
        seconds = time.perf_counter() - started
    require(seen, events, "rows seen")
    return seconds
