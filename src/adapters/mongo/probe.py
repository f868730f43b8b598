"""Is the event store there, and is it what Postlog needs?"""

import asyncio

from pymongo.errors import ServerSelectionTimeoutError

from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.errors import is_drivers, masked
from adapters.mongo.guard import MOST_POSITIONS, LogGuard
from adapters.mongo.replica_set import require_replica_set
from adapters.mongo.schema import SchemaCheck
from application.errors import LogChanged, SchemaOutdated, StoreUnavailable
from application.ports.provisioning import ProbeResult

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
            if not is_drivers(error):
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
