"""A loop over a log in MongoDB that throws away what it reads."""

import time
from typing import Any

import pymongo

from benchmarks.rounds import require
from entrypoints.settings.model import Mongo


def loop_seconds(log: Mongo, events: int) -> float:
    """There is one event a commit."""
    with pymongo.MongoClient[Any](log.url.reveal()) as client:
        collection = client[log.database].commits
        collection.find_one()
        seen = 0
        started = time.perf_counter()
        for _ in collection.find():
            seen += 1
        seconds = time.perf_counter() - started
    require(seen, events, "documents seen")
    return seconds
