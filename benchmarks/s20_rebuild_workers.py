"""S20: `postlog rebuild` from MongoDB into PostgreSQL with 2, 4 and 8 workers, beside the same with one. The seconds
are those that the command prints: the start of the workers is in them, that of the command is not. It runs at the
priority of everything else, so that it does not make way for the database servers.
"""

import asyncio
import json
import os
import subprocess

import psycopg

from benchmarks.bench import POSTLOG, Bench, environment, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_mongo
from benchmarks.rebuilding import check_rows
from benchmarks.rounds import in_turn
from benchmarks.s07_s09_rebuild_postgres import psycopg_url
from benchmarks.workload import commits, expected
from entrypoints.settings.model import Settings

ROWS = ("S20",)
_EVENTS = 1_000_000
_WORKERS = (2, 4, 8)


def measure(bench: Bench) -> list[Figure]:
    """Only as many workers as this machine has processors."""
    events = bench.size(_EVENTS)
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres())
    asyncio.run(provision(settings))
    log = settings.event_store.mongo
    fill_mongo(log.url.reveal(), log.database, commits(events))
    several = [workers for workers in _WORKERS if workers <= (os.cpu_count() or 1)]
    one, *others = in_turn(
        bench.rounds, *(lambda n=workers: rate(events, rebuild_seconds_of(settings, n)) for workers in (1, *several))
    )
    with psycopg.connect(psycopg_url(settings.read_db)) as connection:
        check_rows(connection.execute, expected(commits(events)))
    note = f"{events:,} events, one a commit"
    return [
        Figure(line=f"S20 {workers}", ours=ours, theirs=one, unit="events/s", note=note)
        for workers, ours in zip(several, others, strict=True)
    ]


def rebuild_seconds_of(settings: Settings, workers: int) -> float:
    command = [POSTLOG, "rebuild", "--restart", "--json", "--workers", str(workers)]
    at_once = {**environment(settings), "POSTLOG__REBUILD__NICENESS": "0"}
    done = subprocess.run(command, env=at_once, stdout=subprocess.PIPE, check=True)
    seconds: float = json.loads(done.stdout)["seconds"]
    return seconds
