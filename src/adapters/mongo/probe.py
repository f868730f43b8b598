"""Is the event store there, and is it what Postlog needs?"""

import asyncio

from pymongo.errors import PyMongoError

from adapters.mongo.database import MongoDatabase
from adapters.mongo.errors import masked, unavailable
from adapters.mongo.replica_set import require_replica_set
from adapters.mongo.schema import SchemaCheck
from application.errors import SchemaOutdated, StoreUnavailable
from application.ports.probes import ProbeResult

_SECONDS = 2.0


class MongoProbe:
    name = "event_store"

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def probe(self) -> ProbeResult:
        try:
            async with asyncio.timeout(_SECONDS):
                hello = await require_replica_set(self._database)
                await SchemaCheck(self._database).check()
        except (PyMongoError, TimeoutError) as error:
            return ProbeResult(self.name, ok=False, detail=unavailable(self._database.url, error).message)
        except (StoreUnavailable, SchemaOutdated) as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        return ProbeResult(
            self.name,
            ok=True,
            detail=f"MongoDB at {masked(self._database.url)} answers; {hello['me']} takes the writes.",
        )
