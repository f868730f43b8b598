"""Logs of a given length, written past the write path, since only reading them is measured."""

import itertools
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.write_concern import WriteConcern

from adapters.sqlite.event_store import row_of
from adapters.wire.commit_bson import at_position, encode_without_position
from application.envelopes import ProposedCommit

_AT_ONCE = 5_000
_REPEAT = """INSERT INTO commits (stream_id, version, last_version, commit_id, recorded_at, metadata, events, position)
    SELECT replace(stream_id, :old, :new), version, last_version, replace(commit_id, :old, :new), recorded_at, metadata,
    replace(events, :old, :new), position + :after FROM commits WHERE position <= :count ORDER BY position"""
_INSERT = """INSERT INTO commits (stream_id, version, last_version, commit_id, recorded_at, metadata, events, position)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""


def fill_mongo(url: str, database: str, commits: Iterable[ProposedCommit], after: int = 0) -> None:
    """Into a database that has its indexes."""
    with pymongo.MongoClient[Any](url) as client:
        collection = client[database].get_collection("commits", write_concern=WriteConcern("majority", j=True))
        numbered = enumerate(commits, after + 1)
        while part := list(itertools.islice(numbered, _AT_ONCE)):
            documents: list[RawBSONDocument] = [
                at_position(encode_without_position(commit), position) for position, commit in part
            ]
            collection.insert_many(documents)


def fill_sqlite(path: Path, commits: Iterable[ProposedCommit]) -> None:
    """Into a log that was made before."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, ((*row_of(commit), position) for position, commit in enumerate(commits, 1)))
        connection.execute("COMMIT")


def repeat_sqlite(path: Path, count: int, times: int) -> None:
    """The first `count` commits `times` times in all, each time with other posts: the database copies them, which takes
    a quarter of the time. Their ids must be those of `benchmarks.workload`."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for copy in range(1, times):
            names = {"old": "-7000-8000-", "new": f"-7000-{0x8000 + copy:x}-"}
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_REPEAT, {**names, "after": copy * count, "count": count})
            connection.execute("COMMIT")
