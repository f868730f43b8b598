"""`postlog init` for the log on MongoDB: the indexes that carry its promises, and the log's id."""

from typing import Any

import pymongo

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.errors import is_drivers
from adapters.mongo.replica_set import require_replica_set
from adapters.mongo.schema import Index, SchemaCheck, missing_indexes

_INDEX_SECONDS = 3_600.0
"""A collection that is full already takes a while."""


class MongoProvisioning:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def provision(self) -> list[str]:
        """Raises `StoreUnavailable`, also where the server is no replica set."""
        try:
            await require_replica_set(self._database)
            made = [await self._make(index) for index in await missing_indexes(self._database)]
            if await self._database.uncancelled(self._database.relay.find_one({"_id": "log"})) is None:
                made.append(f"Gave the log in MongoDB its id, {await MongoCommitLog(self._database).log_id()}.")
        except Exception as error:
            if not is_drivers(error):
                raise
            raise self._database.unavailable(error) from error
        return made

    async def check(self) -> None:
        """Raises `StoreUnavailable` too."""
        try:
            await SchemaCheck(self._database).check()
        except Exception as error:
            if not is_drivers(error):
                raise
            raise self._database.unavailable(error) from error

    async def _make(self, index: Index) -> str:
        keys = [(key, 1) for key in index.keys]
        expiry: dict[str, Any] = {} if index.expire_after is None else {"expireAfterSeconds": index.expire_after}
        with pymongo.timeout(_INDEX_SECONDS):  # in place of the time that one answer may take
            await self._database.uncancelled(
                self._database.database[index.collection].create_index(
                    keys, name=index.name, unique=index.unique, **expiry
                )
            )
        kind = "unique index" if index.unique else "index"
        return f"Made the {kind} '{index.name}' on {index.collection}({', '.join(index.keys)}) in MongoDB."
