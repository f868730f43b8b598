"""A loop over a log in MongoDB that decodes each commit to plain data and throws it away."""

import time
from typing import Any

import msgspec
import pymongo

from benchmarks.rounds import require
from entrypoints.settings.model import Mongo


def loop_seconds(log: Mongo, events: int) -> float:
    """There is one event a commit."""
    with pymongo.MongoClient[Any](log.url.reveal()) as client:
        collection = client[log.database].commits
        collection.find_one()
        decode = msgspec.json.decode
        seen = 0
        started = time.perf_counter()
        for document in collection.find():
            decode(document["events"])
            seen += 1
        seconds = time.perf_counter() - started
    require(seen, events, "documents seen")
    return seconds
