"""`postlog init` and `postlog doctor` for the log on MongoDB: create and check the indexes that carry the log's
promises, give the log its id, and probe the server."""

import asyncio
from typing import Any

import pymongo
from pymongo.errors import ServerSelectionTimeoutError

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.errors import is_driver_error, masked
from adapters.mongo.guard import MAX_POSITIONS_CHECKED, LogGuard
from adapters.mongo.schema import VALIDATOR, Index, SchemaCheck, commits_options, missing_indexes, require_replica_set
from adapters.wire.commit_bson import foreign_document
from application.errors import LogChanged, SchemaOutdated, StoreUnavailable
from application.ports.provisioning import ProbeResult

_INDEX_SECONDS = 3_600.0
"""An index on a large collection takes a while."""

_PROBE_SECONDS = 5.0
"""A first connection, with TLS and a login, takes seconds when the machine is busy."""


class MongoProvisioning:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def provision(self) -> list[str]:
        """Raises `StoreUnavailable`, also when the server is not a replica set."""
        with self._database.translated_errors():
            await require_replica_set(self._database)
            created = await self._create_validator()
            created += [await self._create(index) for index in await missing_indexes(self._database)]
            if await self._database.shield(self._database.relay.find_one({"_id": "log"})) is None:
                created.append(f"Gave the log in MongoDB its id, {await MongoCommitLog(self._database).log_id()}.")
        return created

    async def check(self) -> None:
        """Also raises `StoreUnavailable`, and `LogDamaged` for documents in `commits` that are not commits."""
        with self._database.translated_errors():
            await SchemaCheck(self._database).check()
            commits = await commits_options(self._database)
            if commits is not None and commits["options"].get("validator") != VALIDATOR:
                raise SchemaOutdated(
                    f"MongoDB's collection 'commits' in the database '{self._database.name}' accepts documents that "
                    "are not commits; run `postlog init` with an administrator's address.",
                    path="event_store.mongo.database",
                )
            await self._refuse_foreign_documents()

    async def _refuse_foreign_documents(self) -> None:
        """Those that sort before or after all positions. Readers stop at one between positions."""
        for direction in (1, -1):
            found = await self._database.shield(
                self._database.commits.find_one({}, {"_id": 1}, sort=[("_id", direction)])
            )
            if found is not None and not (isinstance(found["_id"], int) and found["_id"] > 0):
                raise foreign_document(found["_id"])

    async def _create_validator(self) -> list[str]:
        """Does nothing for a login that may not list collections: it may not change them either."""
        commits = await commits_options(self._database)
        if commits is None or commits.get("options", {}).get("validator") == VALIDATOR:
            return []
        if commits:
            await self._database.shield(self._database.database.command("collMod", "commits", validator=VALIDATOR))
        else:
            await self._database.shield(self._database.database.create_collection("commits", validator=VALIDATOR))
        return ["Made MongoDB's collection 'commits' refuse documents that are not commits."]

    async def _create(self, index: Index) -> str:
        keys = [(key, 1) for key in index.keys]
        expiry: dict[str, Any] = {} if index.expire_after is None else {"expireAfterSeconds": index.expire_after}
        with pymongo.timeout(_INDEX_SECONDS):  # in place of the usual limit for one reply
            await self._database.shield(
                self._database.database[index.collection].create_index(
                    keys, name=index.name, unique=index.unique, **expiry
                )
            )
        kind = "unique index" if index.unique else "index"
        return f"Created the {kind} '{index.name}' on {index.collection}({', '.join(index.keys)}) in MongoDB."


class MongoProbe:
    name = "event_store"

    def __init__(self, database: MongoDatabase, guard: LogGuard | None = None) -> None:
        """`guard` is the one of the process's event store, if it has one."""
        self._database = database
        self._guard = guard

    async def probe(self) -> ProbeResult:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                self._database.require_unchanged()
                hello = await self._greeted()
                await SchemaCheck(self._database).check()
                if self._guard is not None:
                    await self._guard.recheck(MAX_POSITIONS_CHECKED)
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
        """The driver gives up after a while; a server that is still connecting gets all the time, one that is down does
        not."""
        while True:
            try:
                return await require_replica_set(self._database)
            except ServerSelectionTimeoutError:
                if not self._database.servers.still_connecting:
                    raise
