"""S1: new posts through the whole write path (decide, encode, group commit), 64 in flight, beside 64 tasks that insert
the same document one by one into an equal collection: the same unique keys, `w: majority, j: true`.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pymongo
import uvloop
from pymongo import AsyncMongoClient
from pymongo.write_concern import WriteConcern

from benchmarks.bench import Bench, opened, provision
from benchmarks.figures import Figure, rate
from benchmarks.rounds import in_turn, require
from benchmarks.writing import MESSAGE, Writers
from entrypoints.settings.model import Mongo, Settings

ROWS = ("S1",)
_NOW = datetime(2026, 11, 23, tzinfo=UTC)
_IN_FLIGHT, _COMMITS, _NAIVE_COMMITS = 64, 20_000, 4_000


def measure(bench: Bench) -> list[Figure]:
    commits, naive_commits = bench.size(_COMMITS), bench.size(_NAIVE_COMMITS)
    settings = Settings(event_store=bench.empty_mongo(), read_db=bench.sqlite("unused").read_db)
    naive = Settings(event_store=bench.empty_mongo(), read_db=settings.read_db)
    asyncio.run(provision(settings))
    asyncio.run(provision(naive))
    numbers, positions = itertools.count(1, commits), itertools.count(1)
    ours, theirs = in_turn(
        bench.rounds,
        lambda: rate(commits, uvloop.run(_write(settings, commits, next(numbers)))),
        lambda: rate(naive_commits, uvloop.run(_insert(naive.event_store.mongo, naive_commits, positions))),
    )
    calls = bench.rounds + 1
    _check(settings.event_store.mongo, commits * calls)
    _check(naive.event_store.mongo, naive_commits * calls)
    note = f"{commits:,} commits a round, naive side {naive_commits:,}; one event each"
    return [Figure(line="S1", ours=ours, theirs=theirs, unit="commits/s", note=note)]


async def _write(settings: Settings, count: int, first: int) -> float:
    async with opened(settings) as container:
        await container.log().commit_log.tip()
        writers = Writers(container.commands(), _IN_FLIGHT, first)
        started = time.perf_counter()
        await writers.run_while(lambda begun: begun < count)
        return time.perf_counter() - started


async def _insert(log: Mongo, count: int, positions: Iterator[int]) -> float:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(log.url.reveal())
    async with client:
        concern = WriteConcern("majority", j=True)
        collection = client[log.database].get_collection("commits", write_concern=concern)
        await collection.find_one()
        left = iter(range(count))

        async def insert() -> None:
            for number in left:
                await collection.insert_one(_document(next(positions), number))

        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_IN_FLIGHT):
                tasks.create_task(insert())
        return time.perf_counter() - started


def _document(position: int, number: int) -> dict[str, Any]:
    data = {"author": "ann", "message": MESSAGE, "datePosted": "2026-11-23T00:00:00.000Z"}
    return {
        "_id": position,
        "streamId": str(uuid.uuid4()),
        "version": 1,
        "commitId": str(uuid.uuid4()),
        "recordedAt": _NOW,
        "metadata": {"actor": "ann", "correlationId": f"{number:032x}"},
        "types": ["PostCreated"],
        "events": msgspec.json.encode([{"type": "PostCreated", "schemaVersion": 1, "data": data}]).decode(),
    }


def _check(log: Mongo, wanted: int) -> None:
    """As many commits as were acknowledged, on positions without gap."""
    with pymongo.MongoClient[Any](log.url.reveal()) as client:
        commits = client[log.database].commits
        require(commits.count_documents({}), wanted, "commits")
        last = commits.find_one(sort=[("_id", -1)])
        require(last and last["_id"], wanted, "last position")
