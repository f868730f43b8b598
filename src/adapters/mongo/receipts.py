"""Receipts on MongoDB, `{_id: commitId, requestDigest, streamId, version, position, keptAt}`. An index lets them
expire.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError

from adapters.mongo.database import Document, MongoDatabase
from application.ports.event_store import Receipt
from domain.ids import PostId

_DUPLICATE_KEY = 11000


async def keep_receipts(database: MongoDatabase, receipts: Sequence[Receipt]) -> None:
    """Raises `StoreUnavailable`."""
    now = datetime.now(UTC)

    async def keep(session: AsyncClientSession) -> None:
        try:
            documents = [_document(receipt, now) for receipt in receipts]
            await database.receipts.insert_many(documents, ordered=False, session=session)
        except BulkWriteError as error:
            if not _only_duplicates(error.details):
                raise

    await database.answer(keep)


async def find_receipt(database: MongoDatabase, commit_id: str) -> Receipt | None:
    """Raises `StoreUnavailable`."""
    document = await database.answer(lambda session: database.receipts.find_one({"_id": commit_id}, session=session))
    return _receipt(document) if document else None


def _only_duplicates(details: Mapping[str, Any]) -> bool:
    """Acknowledged by the majority otherwise."""
    return not details["writeConcernErrors"] and all(each["code"] == _DUPLICATE_KEY for each in details["writeErrors"])


def _document(receipt: Receipt, now: datetime) -> Document:
    return {
        "_id": receipt.commit_id,
        "requestDigest": receipt.request_digest,
        "streamId": receipt.stream_id,
        "version": receipt.version,
        "position": receipt.position,
        "keptAt": now,
    }


def _receipt(document: Document) -> Receipt:
    return Receipt(
        commit_id=document["_id"],
        request_digest=document["requestDigest"],
        stream_id=PostId(document["streamId"]),
        version=document["version"],
        position=document["position"],
    )
