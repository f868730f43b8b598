"""Adapters on a database of their own, with everything that `postlog init` makes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
from adapters.mongo.provisioning import MongoProvisioning
from contracts.log_handle import LogHandle, OpenLog
from local.databases import MongoDatabase as Place


@pytest.fixture
def open_log(fresh_mongo_database: Place) -> OpenLog:
    """Each opening is like a process: another client, another memory of the log."""

    @asynccontextmanager
    async def open_log() -> AsyncIterator[LogHandle]:
        async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
            await MongoProvisioning(database).provision()
            yield LogHandle(MongoEventStore(database), MongoCommitLog(database), MongoPastEvents(database))

    return open_log


@pytest.fixture
async def database(fresh_mongo_database: Place) -> AsyncIterator[MongoDatabase]:
    async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
        await MongoProvisioning(database).provision()
        yield database
