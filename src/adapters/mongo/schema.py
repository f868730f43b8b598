"""What must be there before anything is appended: a replica set (of one node or more), the unique keys and the other
indexes, and the validator of the collection `commits`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.errors import OperationFailure

from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.errors import URL_SETTING, masked
from application.errors import SchemaOutdated, StoreUnavailable
from application.ports.event_store import RECEIPT_DAYS


async def require_replica_set(database: MongoDatabase) -> Document:
    """The server's `hello`. Raises `StoreUnavailable` for another kind of server, and what the driver raises."""
    hello = await database.shield(database.client.admin.command("hello"))
    if "setName" in hello:
        return hello
    if hello.get("msg") == "isdbgrid":
        kind = "the router of a sharded cluster; a log's unique keys can't be sharded, so give the address of a set"
    else:
        kind = "a server of its own; start it with `mongod --replSet rs0` and run `rs.initiate()` once"
    raise StoreUnavailable(
        f"The event store, MongoDB at {masked(database.url)} ({URL_SETTING}), must be a replica set but is {kind}.",
        path=URL_SETTING,
    )


@dataclass(frozen=True, slots=True)
class Index:
    """`keys` are field names, ascending. `expire_after` is in seconds."""

    collection: str
    name: str
    keys: tuple[str, ...]
    unique: bool = False
    expire_after: int | None = None

    def is_in(self, existing: Mapping[str, Mapping[str, Any]]) -> bool:
        """Under any name: only keys and uniqueness count."""
        wanted = [(key, 1) for key in self.keys]
        return any(
            [(key, int(direction)) for key, direction in index["key"]] == wanted
            and bool(index.get("unique", False)) >= self.unique
            for index in existing.values()
        )


INDEXES = (
    Index("commits", "stream_version", ("streamId", "version"), unique=True),
    Index("commits", "commit_id", ("commitId",), unique=True),
    Index("receipts", "receipts_expire", ("keptAt",), expire_after=RECEIPT_DAYS * 24 * 60 * 60),
    Index("writers", "notes_expire", ("until",), expire_after=3_600),
)
"""The third unique key, the position, is `_id`."""

INDEXED = tuple(dict.fromkeys(index.collection for index in INDEXES))


async def missing_indexes(database: MongoDatabase, collections: Sequence[str] = INDEXED) -> list[Index]:
    """Raises what the driver raises."""
    missing: list[Index] = []
    for collection in collections:
        existing = await database.shield(database.database[collection].index_information())
        missing += [index for index in INDEXES if index.collection == collection and not index.is_in(existing)]
    return missing


_WHOLE_NUMBER = {"bsonType": ["int", "long"], "minimum": 1}
VALIDATOR = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["_id", "streamId", "version", "commitId", "recordedAt", "metadata", "events"],
        "properties": {
            "_id": _WHOLE_NUMBER,
            "streamId": {"bsonType": "string"},
            "version": _WHOLE_NUMBER,
            "commitId": {"bsonType": "string"},
            "recordedAt": {"bsonType": "date"},
            "metadata": {"bsonType": "object"},
        },
        "anyOf": [
            {
                "required": ["types"],
                "properties": {
                    "types": {"bsonType": "array", "minItems": 1, "items": {"bsonType": "string"}},
                    "events": {"bsonType": "string"},
                },
            },
            {"properties": {"events": {"bsonType": "array", "minItems": 1, "items": {"bsonType": "object"}}}},
        ],
    }
}
"""Of `commits`: refuses documents without the fields of a commit, as this version or Postlog 0.1 stores it. It does not
check events, which would slow down each insert."""


def _is_of_0_1(validator: Mapping[str, Any]) -> bool:
    return "events" in validator.get("$jsonSchema", {}).get("properties", {})


_NOT_ALLOWED = 13
_COLLECTION_UUID = 17
"""The wire version of MongoDB 6.0, which takes a `collectionUUID` with an insert."""


async def commits_options(database: MongoDatabase) -> Document | None:
    """`options` and `info` of `commits` from `listCollections`. {} when there is no such collection, None when this
    login may not list collections: its role is from an earlier version of Postlog. Raises what the driver raises."""
    try:
        found = await database.shield(_listed(database))
    except OperationFailure as error:
        if error.code == _NOT_ALLOWED:
            return None
        raise
    return found[0] if found else {}


async def _listed(database: MongoDatabase) -> list[Document]:
    return [
        dict(each) for each in await (await database.database.list_collections(filter={"name": "commits"})).to_list()
    ]


class SchemaCheck:
    """Once for each process: without its unique keys the log would accept any commit, and without a replica set it
    would keep commits less safely."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._passed = False

    async def check(self) -> None:
        """Raises `SchemaOutdated`; `StoreUnavailable` for a server that is not a replica set; `LogChanged` when
        `commits` is another collection than before; what the driver raises."""
        if self._passed:
            return
        hello = await require_replica_set(self._database)
        commits = await commits_options(self._database)
        if missing := await missing_indexes(self._database):
            names = ", ".join(f"{index.collection}({', '.join(index.keys)})" for index in missing)
            raise SchemaOutdated(
                f"MongoDB's database '{self._database.name}' has no index {names}; run `postlog init`.",
                path="event_store.mongo.database",
            )
        if commits and _is_of_0_1(commits["options"].get("validator", {})):
            raise SchemaOutdated(
                f"MongoDB's collection 'commits' in the database '{self._database.name}' accepts only commits as "
                "Postlog 0.1 wrote them; run `postlog init` with an administrator's address.",
                path="event_store.mongo.database",
            )
        if commits and hello["maxWireVersion"] >= _COLLECTION_UUID:
            self._database.require_same_commits(commits["info"]["uuid"])
        self._passed = True
