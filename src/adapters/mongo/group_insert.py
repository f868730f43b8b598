"""One group write: one `insert` command, ordered, acknowledged by the majority's journals."""

from collections.abc import Sequence
from dataclasses import dataclass

from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError

from adapters.mongo.database import MongoDatabase

MAX_COMMITS = 1_000
MAX_BYTES = 32_000_000
"""The driver splits what is above 48 MB into several commands, and then one write would be two."""

POSITION = ("_id",)
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Inserted:
    """The first `count` documents are majority-committed; the next, if any, was refused by the unique key on the fields
    `refused_by`, and those behind it were not tried."""

    count: int
    refused_by: tuple[str, ...] | None


async def insert_group(database: MongoDatabase, documents: Sequence[RawBSONDocument]) -> Inserted:
    """Whatever is raised leaves open which of the documents are in the log, or will be."""
    try:
        await database.call(lambda session: database.commits.insert_many(documents, session=session))
    except BulkWriteError as error:
        return _stopped_at(error)
    return Inserted(len(documents), None)


def _stopped_at(error: BulkWriteError) -> Inserted:
    """For a duplicate key that was answered after the majority had everything up to it; else the error is raised."""
    failures = error.details["writeErrors"]
    if error.details["writeConcernErrors"] or not failures or failures[0]["code"] != _DUPLICATE_KEY:
        raise error
    return Inserted(failures[0]["index"], tuple(failures[0]["keyPattern"]))
