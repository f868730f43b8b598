"""Adapters on a database of their own, with everything that `postlog init` makes."""

import gc
from collections.abc import AsyncIterator, Iterator
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


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """pymongo 4.20 does not close a socket, or its transport, when a connection ends while it is being made: for tests
    whose server is down, together with a filter on the warning, so that it does not fail the next test."""
    yield
    gc.collect()
