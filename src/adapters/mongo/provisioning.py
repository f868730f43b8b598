"""`postlog init` for the log on MongoDB: the indexes that carry its promises, and the log's id.

Is the event store there, and is it what Postlog needs?
"""

import asyncio
from typing import Any

import pymongo
from pymongo.errors import ServerSelectionTimeoutError

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.errors import is_driver_error, masked
from adapters.mongo.guard import MOST_POSITIONS, LogGuard
from adapters.mongo.schema import VALIDATOR, Index, SchemaCheck, commits_options, missing_indexes, require_replica_set
from adapters.wire.commit_bson import foreign_document
from application.errors import LogChanged, SchemaOutdated, StoreUnavailable
from application.ports.provisioning import ProbeResult

_INDEX_SECONDS = 3_600.0
"""A collection that is full already takes a while."""


class MongoProvisioning:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def provision(self) -> list[str]:
        """Raises `StoreUnavailable`, also where the server is no replica set."""
        try:
            await require_replica_set(self._database)
            made = await self._make_validator()
            made += [await self._make(index) for index in await missing_indexes(self._database)]
            if await self._database.uncancelled(self._database.relay.find_one({"_id": "log"})) is None:
                made.append(f"Gave the log in MongoDB its id, {await MongoCommitLog(self._database).log_id()}.")
        except Exception as error:
            if not is_driver_error(error):
                raise
            raise self._database.unavailable(error) from error
        return made

    async def check(self) -> None:
        """Raises `StoreUnavailable` too, and `LogDamaged` for documents in `commits` that are none of Postlog's."""
        try:
            await SchemaCheck(self._database).check()
            commits = await commits_options(self._database)
            if commits is not None and commits["options"].get("validator") != VALIDATOR:
                raise SchemaOutdated(
                    f"MongoDB's collection 'commits' in the database '{self._database.name}' takes documents that are "
                    "no commits; run `postlog init` with an administrator's address.",
                    path="event_store.mongo.database",
                )
            await self._refuse_foreign_documents()
        except Exception as error:
            if not is_driver_error(error):
                raise
            raise self._database.unavailable(error) from error

    async def _refuse_foreign_documents(self) -> None:
        """Those that sort before or behind all positions. One between positions is what readers stop at."""
        for direction in (1, -1):
            found = await self._database.uncancelled(
                self._database.commits.find_one({}, {"_id": 1}, sort=[("_id", direction)])
            )
            if found is not None and not (isinstance(found["_id"], int) and found["_id"] > 0):
                raise foreign_document(found["_id"])

    async def _make_validator(self) -> list[str]:
        """For a login that may not ask what there is, nothing: it may not change it either."""
        commits = await commits_options(self._database)
        if commits is None or commits.get("options", {}).get("validator") == VALIDATOR:
            return []
        if commits:
            await self._database.uncancelled(self._database.database.command("collMod", "commits", validator=VALIDATOR))
        else:
            await self._database.uncancelled(self._database.database.create_collection("commits", validator=VALIDATOR))
        return ["Made MongoDB's collection 'commits' refuse documents that are no commits."]

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


_SECONDS = 5.0
"""A first connection, with TLS and a login, takes seconds where the machine is busy."""


class MongoProbe:
    name = "event_store"

    def __init__(self, database: MongoDatabase, guard: LogGuard | None = None) -> None:
        """`guard` is that of the process's event store, where it has one."""
        self._database = database
        self._guard = guard

    async def probe(self) -> ProbeResult:
        try:
            async with asyncio.timeout(_SECONDS):
                self._database.require_unchanged()
                hello = await self._greeted()
                await SchemaCheck(self._database).check()
                if self._guard is not None:
                    await self._guard.still_stands(MOST_POSITIONS)
        except (StoreUnavailable, SchemaOutdated, LogChanged) as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        except Exception as error:
            if not is_driver_error(error):
                raise
            return ProbeResult(self.name, ok=False, detail=self._database.unavailable(error).message)
        return ProbeResult(
            self.name,
            ok=True,
            detail=f"MongoDB at {masked(self._database.url)} answers; {hello['me']} takes the writes.",
        )

    async def _greeted(self) -> Document:
        """The driver gives up after a while; who is slow gets all the time, who is away does not."""
        while True:
            try:
                return await require_replica_set(self._database)
            except ServerSelectionTimeoutError:
                if not self._database.servers.still_connecting:
                    raise
