"""What `mongodump` and `mongorestore` do with a database, by the driver: documents as BSON, and collections with their
options and indexes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from local.databases import MongoDatabase as Place

_MAJORITY = pymongo.WriteConcern("majority")


@dataclass(frozen=True, slots=True)
class Dump:
    """By collection: its options, its indexes but that on `_id`, its documents."""

    collections: Mapping[str, tuple[dict[str, Any], Sequence[dict[str, Any]], Sequence[bytes]]]


def _client(place: Place) -> "pymongo.MongoClient[dict[str, Any]]":
    return pymongo.MongoClient(place.url, timeoutMS=30_000)


def mongodump(place: Place) -> Dump:
    with _client(place) as client:
        database = client[place.name]
        return Dump(
            {
                each["name"]: (
                    each.get("options", {}),
                    _indexes(database, each["name"]),
                    _documents(database, each["name"]),
                )
                for each in database.list_collections()
            }
        )


def mongorestore(place: Place, dump: Dump, *, drop: bool = False, only: Sequence[str] = ()) -> int:
    """Returns how many documents were not inserted because their key exists: `mongorestore` counts these too, and still
    exits with 0. `drop`: the collections of the dump, and no others, are dropped first."""
    failed = 0
    with _client(place) as client:
        database = client.get_database(place.name, write_concern=_MAJORITY)
        for name, (options, indexes, documents) in dump.collections.items():
            if only and name not in only:
                continue
            if drop:
                database.drop_collection(name)
            if name not in database.list_collection_names():
                database.create_collection(name, **options)
            failed += _insert(database, name, documents)
            for index in indexes:
                kept = {key: value for key, value in index.items() if key not in ("v", "ns", "key")}
                database[name].create_index(list(index["key"].items()), **kept)
    return failed


def drop_database(place: Place) -> None:
    with _client(place) as client:
        client.drop_database(place.name)


def _indexes(database: Database[dict[str, Any]], name: str) -> Sequence[dict[str, Any]]:
    return [dict(index) for index in database[name].list_indexes() if index["name"] != "_id_"]


def _documents(database: Database[dict[str, Any]], name: str) -> Sequence[bytes]:
    return [bson.encode(document) for document in database[name].find()]


def _insert(database: Database[dict[str, Any]], name: str, documents: Sequence[bytes]) -> int:
    if not documents:
        return 0
    try:
        database[name].insert_many([RawBSONDocument(document) for document in documents], ordered=False)
    except BulkWriteError as error:
        return len(error.details["writeErrors"])
    return 0
