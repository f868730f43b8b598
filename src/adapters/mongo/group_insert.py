"""One group write: one `insert` command, ordered, acknowledged by the majority's journals.

It is the bare command, since the driver's own method can't name the collection's UUID: with it the server refuses the
insert when somebody dropped, replaced or renamed the collection, where it would otherwise make a new one without the
unique keys. The price is that the driver does not repeat the insert by itself after a failover; `appending` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure

from adapters.mongo.database import COMMITS_REPLACED, Document, MongoDatabase

MAX_COMMITS = 1_000
MAX_BYTES = 16_000_000
"""The driver takes at most 16,793,598 in one command."""

POSITION = ("_id",)
_DUPLICATE_KEY = 11000
_ANOTHER_COLLECTION = 361


@dataclass(frozen=True, slots=True)
class Inserted:
    """The first `count` documents are majority-committed; the next, if any, was refused by the unique key on the fields
    `refused_by`, and those behind it were not tried."""

    count: int
    refused_by: tuple[str, ...] | None


async def insert_group(database: MongoDatabase, documents: Sequence[RawBSONDocument]) -> Inserted:
    """Raises `LogChanged`, with nothing inserted, when the collection is another one than at the start; whatever else
    is raised leaves open which of the documents are in the log, or will be."""
    command = {
        "insert": "commits",
        "documents": list(documents),
        "ordered": True,
        "writeConcern": database.database.write_concern.document,
    }
    if database.commits_uuid is not None:
        command["collectionUUID"] = database.commits_uuid
    failures = await database.call(lambda session: _insert(database, command, session))
    if not failures:
        return Inserted(len(documents), None)
    if failures[0]["code"] == _ANOTHER_COLLECTION:
        raise database.log_changed(COMMITS_REPLACED)
    return Inserted(failures[0]["index"], tuple(failures[0]["keyPattern"]))


async def _insert(database: MongoDatabase, command: Document, session: AsyncClientSession) -> list[Document]:
    """Why the first document that was refused was refused, when it says what became of the others. Else that is
    raised: also when the server does not know whether all that it did will last."""
    answer = await database.database.command(command, session=session)
    if failure := answer.get("writeConcernError"):
        raise OperationFailure(failure["errmsg"], failure["code"])
    failures: list[Document] = answer.get("writeErrors", [])
    if failures and failures[0]["code"] not in (_DUPLICATE_KEY, _ANOTHER_COLLECTION):
        raise OperationFailure(failures[0]["errmsg"], failures[0]["code"])
    return failures
