"""What must be in the database before anything is appended: the unique keys, above all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.mongo.database import MongoDatabase
from adapters.mongo.replica_set import require_replica_set
from application.errors import SchemaOutdated
from application.ports.event_store import RECEIPT_DAYS


@dataclass(frozen=True, slots=True)
class Index:
    """`keys` are field names, ascending. `expire_after` is in seconds."""

    collection: str
    name: str
    keys: tuple[str, ...]
    unique: bool = False
    expire_after: int | None = None

    def is_in(self, existing: Mapping[str, Mapping[str, Any]]) -> bool:
        """Under any name: what counts is what it does."""
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


async def missing_indexes(database: MongoDatabase) -> list[Index]:
    """Raises what the driver raises."""
    missing: list[Index] = []
    for collection in dict.fromkeys(index.collection for index in INDEXES):
        existing = await database.uncancelled(database.database[collection].index_information())
        missing += [index for index in INDEXES if index.collection == collection and not index.is_in(existing)]
    return missing


class SchemaCheck:
    """Once for each process: without its unique keys the log would take anything, and without a replica set keep it
    less surely."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._passed = False

    async def check(self) -> None:
        """Raises `SchemaOutdated`; `StoreUnavailable` for a server that is no replica set; what the driver raises."""
        if self._passed:
            return
        await require_replica_set(self._database)
        if missing := await missing_indexes(self._database):
            names = ", ".join(f"{index.collection}({', '.join(index.keys)})" for index in missing)
            raise SchemaOutdated(
                f"MongoDB's database '{self._database.name}' has no index {names}; run `postlog init`.",
                path="event_store.mongo.database",
            )
        self._passed = True
