"""S21: creating posts through 2 and 4 processes `postlog serve command` on one log on MongoDB, beside one, with 128
connections in all.
"""

import asyncio
import os
from typing import Any

import pymongo

from benchmarks.bench import Bench, provision
from benchmarks.figures import Figure, rate
from benchmarks.rounds import in_turn, require
from benchmarks.serving import Call, load, serve_postlog
from benchmarks.writing import MESSAGE
from entrypoints.settings.model import Settings

ROWS = ("S21",)
_CONNECTIONS, _REQUESTS = 128, 12_800
_PROCESSES = (2, 4)
_POST = Call(method="POST", path="/api/v1/posts", body={"author": "ann", "message": MESSAGE}, status=201)


def measure(bench: Bench) -> list[Figure]:
    """Only as many processes as this machine has processors. Those that a side does not use are idle meanwhile."""
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.sqlite("unused").read_db)
    asyncio.run(provision(settings))
    several = [processes for processes in _PROCESSES if processes <= (os.cpu_count() or 1)]
    ports = [_serve(bench, settings, number) for number in range(max(several, default=1))]
    each = bench.size(_REQUESTS) // _CONNECTIONS

    def create(processes: int) -> float:
        seen = load(ports[:processes], [[_POST] * each] * _CONNECTIONS)
        return rate(each * _CONNECTIONS, seen.seconds)

    one, *others = in_turn(bench.rounds, *(lambda n=processes: create(n) for processes in (1, *several)))
    log = settings.event_store.mongo
    with pymongo.MongoClient[dict[str, Any]](log.url.reveal()) as client:
        wanted = each * _CONNECTIONS * (bench.rounds + 1) * (1 + len(several))
        require(client[log.database].commits.count_documents({}), wanted, "commits")
    note = f"{each * _CONNECTIONS:,} requests a round; the load generator is one process"
    return [
        Figure(line=f"S21 {processes}", ours=ours, theirs=one, unit="commands/s", note=note)
        for processes, ours in zip(several, others, strict=True)
    ]


def _serve(bench: Bench, settings: Settings, number: int) -> int:
    folder = bench.folder / str(number)
    folder.mkdir()
    return serve_postlog(bench.stack, folder, settings, "command")
