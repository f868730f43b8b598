"""S21: creating posts through 2 and 4 processes `postlog serve command` on one log on MongoDB, beside one, with 128
connections in all.
"""

import asyncio
import os
from collections.abc import Sequence
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
    settings = _settings(bench)
    several = [processes for processes in _PROCESSES if processes <= (os.cpu_count() or 1)]
    ports = _serve(bench, settings, max(several, default=1))
    one, *others = in_turn(
        bench.rounds, *(lambda n=processes: command_rate(bench, ports[:n]) for processes in (1, *several))
    )
    a_round = _each(bench) * _CONNECTIONS
    log = settings.event_store.mongo
    with pymongo.MongoClient[dict[str, Any]](log.url.reveal()) as client:
        wanted = a_round * (bench.rounds + 1) * (1 + len(several))
        require(client[log.database].commits.count_documents({}), wanted, "commits")
    note = f"{a_round:,} requests a round; the load generator is one process"
    return [
        Figure(line=f"S21 {processes}", ours=ours, theirs=one, unit="commands/s", note=note)
        for processes, ours in zip(several, others, strict=True)
    ]


def serve_commands(bench: Bench, processes: int) -> list[int]:
    """On a log of their own; their ports."""
    return _serve(bench, _settings(bench), processes)


def command_rate(bench: Bench, ports: Sequence[int]) -> float:
    each = _each(bench)
    return rate(each * _CONNECTIONS, load(ports, [[_POST] * each] * _CONNECTIONS).seconds)


def _settings(bench: Bench) -> Settings:
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.sqlite("unused").read_db)
    asyncio.run(provision(settings))
    return settings


def _serve(bench: Bench, settings: Settings, processes: int) -> list[int]:
    ports: list[int] = []
    for number in range(processes):
        folder = bench.folder / str(number)
        folder.mkdir()
        ports.append(serve_postlog(bench.stack, folder, settings, "command"))
    return ports


def _each(bench: Bench) -> int:
    return bench.size(_REQUESTS) // _CONNECTIONS
