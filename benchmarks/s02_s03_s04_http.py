"""S2 to S4: creating posts through `postlog serve command`, and through a bare Litestar handler that validates the same
body and makes the same durable insert; with 64 connections and with one. Rates, and p99 with 64 connections.
"""

import asyncio
from typing import Any

import pymongo

from benchmarks.bench import Bench, provision
from benchmarks.figures import Figure, percentile, rate
from benchmarks.rounds import in_turn, require
from benchmarks.serving import Call, Seen, load, serve_bare, serve_postlog
from benchmarks.writing import MESSAGE
from entrypoints.settings.model import Mongo, Settings

ROWS = ("S2", "S3", "S4")
_CONNECTIONS, _REQUESTS, _LONE_REQUESTS = 64, 8_000, 500
_POST = Call(method="POST", path="/api/v1/posts", body={"author": "ann", "message": MESSAGE}, status=201)


def measure(bench: Bench) -> list[Figure]:
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.sqlite("unused").read_db)
    naive = Settings(event_store=bench.empty_mongo(), read_db=settings.read_db)
    asyncio.run(provision(settings))
    asyncio.run(provision(naive))
    log, bare_log = settings.event_store.mongo, naive.event_store.mongo
    ours = serve_postlog(bench.stack, bench.folder, settings, "command")
    bare = serve_bare(bench.stack, bench.folder, bare_log.url.reveal(), bare_log.database)
    each, alone = bench.size(_REQUESTS) // _CONNECTIONS, bench.size(_LONE_REQUESTS)
    many: dict[int, list[Seen]] = {ours: [], bare: []}

    def with_many(port: int) -> float:
        seen = load(port, [[_POST] * each] * _CONNECTIONS)
        many[port].append(seen)
        return rate(each * _CONNECTIONS, seen.seconds)

    def with_one(port: int) -> float:
        return rate(alone, load(port, [[_POST] * alone]).seconds)

    rates, bare_rates = in_turn(bench.rounds, lambda: with_many(ours), lambda: with_many(bare))
    lone, bare_lone = in_turn(bench.rounds, lambda: with_one(ours), lambda: with_one(bare))
    for each_log in (log, bare_log):
        _check(each_log, (bench.rounds + 1) * (each * _CONNECTIONS + alone))
    p99, bare_p99 = ([percentile(seen.latencies, 99) * 1_000 for seen in many[port][1:]] for port in (ours, bare))
    note = f"{each * _CONNECTIONS:,} requests a round; the load generator shares the machine's CPUs with both sides"
    return [
        Figure(line="S2", ours=rates, theirs=bare_rates, unit="commands/s", note=note),
        Figure(line="S3", ours=lone, theirs=bare_lone, unit="commands/s", note=f"{alone:,} requests a round"),
        Figure(line="S4", ours=p99, theirs=bare_p99, unit="ms", less_is_better=True),
    ]


def _check(log: Mongo, wanted: int) -> None:
    with pymongo.MongoClient[dict[str, Any]](log.url.reveal()) as client:
        require(client[log.database].commits.count_documents({}), wanted, "commits")
