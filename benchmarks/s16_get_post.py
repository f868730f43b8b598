"""S16: one post read through `postlog serve query` on PostgreSQL, 32 connections; beside 32 tasks that read the same
row by its key through a pool of as many connections as Postlog has. The load generators are a process each.
"""

import asyncio
import subprocess
import sys

from benchmarks.bench import Bench, provision
from benchmarks.figures import Figure, rate
from benchmarks.logs import fill_mongo
from benchmarks.rebuilding import rebuild_seconds
from benchmarks.rounds import in_turn
from benchmarks.s07_s09_rebuild_postgres import psycopg_url
from benchmarks.serving import Call, load, serve_postlog
from benchmarks.workload import commits, post_id
from entrypoints.settings.model import Settings

ROWS = ("S16",)
_CONNECTIONS, _REQUESTS, _EVENTS = 32, 12_800, 2_000


def measure(bench: Bench) -> list[Figure]:
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.empty_postgres())
    asyncio.run(provision(settings))
    log = settings.event_store.mongo
    fill_mongo(log.url.reveal(), log.database, commits(_EVENTS))
    rebuild_seconds(settings)
    port = serve_postlog(bench.stack, bench.folder, settings, "query")
    each = bench.size(_REQUESTS) // _CONNECTIONS
    get = Call(method="GET", path=f"/api/v1/posts/{post_id(1)}", status=200)
    url, pool = psycopg_url(settings.read_db), settings.read_db.postgres.pool_size
    ours, theirs = in_turn(
        bench.rounds,
        lambda: rate(each * _CONNECTIONS, load(port, [[get] * each] * _CONNECTIONS).seconds),
        lambda: rate(each * _CONNECTIONS, _lookup_seconds(url, pool, each)),
    )
    note = f"{each * _CONNECTIONS:,} reads a round; Postlog's answer has the post's newest comments, too"
    return [Figure(line="S16", ours=ours, theirs=theirs, unit="reads/s", note=note)]


def _lookup_seconds(url: str, pool: int, each: int) -> float:
    """A row that is not found ends that process with an error."""
    words = [url, str(pool), str(_CONNECTIONS), str(each), post_id(1)]
    command = [sys.executable, "-m", "benchmarks.lookups", *words]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
