"""The log on MongoDB keeps the contracts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pymongo
import pytest

from adapters.mongo.database import MongoDatabase
from adapters.mongo.relay_state import MongoRelayState
from adapters.mongo.snapshots import MongoSnapshots
from adapters.wire.commit_json import events_to_json
from contracts.damaged_streams import DamagedStreamsContract, Rewrite
from contracts.event_store import EventStoreContract
from contracts.log_gaps import LogGapsContract, Removed
from contracts.log_handle import POST_A
from contracts.old_history import OldHistoryContract
from contracts.relay_state import RelayStateContract
from contracts.snapshots import SnapshotsContract, snapshot
from local.databases import MongoDatabase as Place


class TestMongoEventStore(EventStoreContract):
    """Adopts the contract with the fixture `open_log`."""


@pytest.fixture
def removed(fresh_mongo_database: Place) -> Removed:
    """Like an administrator with a shell."""

    @asynccontextmanager
    async def removed(positions: Sequence[int]) -> AsyncIterator[None]:
        with pymongo.MongoClient[dict[str, Any]](fresh_mongo_database.url, timeoutMS=20_000) as client:
            commits = client[fresh_mongo_database.name].get_collection(
                "commits", write_concern=pymongo.WriteConcern("majority")
            )
            documents = list(commits.find({"_id": {"$in": list(positions)}}))
            assert commits.delete_many({"_id": {"$in": list(positions)}}).deleted_count == len(positions)
            yield
            commits.insert_many(documents)

    return removed


class TestLogGapsOnMongo(LogGapsContract):
    """Adopts the contract with the fixtures `open_log` and `removed`."""


_FIELDS = {"stream_id": "streamId"}


@pytest.fixture
def rewrite(fresh_mongo_database: Place) -> Rewrite:
    """Like an administrator with a shell."""

    async def rewrite(position: int, **changes: Any) -> None:
        if "events" in changes:
            changes["types"] = [event.type for event in changes["events"]]
            changes["events"] = events_to_json(changes["events"]).decode()
        with pymongo.MongoClient[dict[str, Any]](fresh_mongo_database.url, timeoutMS=20_000) as client:
            commits = client[fresh_mongo_database.name].get_collection(
                "commits", write_concern=pymongo.WriteConcern("majority")
            )
            changed = commits.update_one(
                {"_id": position},
                {"$set": {_FIELDS.get(name, name): value for name, value in changes.items()}},
                bypass_document_validation=True,
            )
            assert changed.matched_count == 1

    return rewrite


class TestDamagedStreamsOnMongo(DamagedStreamsContract):
    """Adopts the contract with the fixtures `open_log` and `rewrite`."""


class TestOldHistoryOnMongo(OldHistoryContract):
    """Adopts the contract with the fixture `open_log`."""


class TestMongoRelayState(RelayStateContract):
    @pytest.fixture
    def relay(self, database: MongoDatabase) -> MongoRelayState:
        return MongoRelayState(database)


class TestMongoSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, database: MongoDatabase) -> MongoSnapshots:
        return MongoSnapshots(database)


class TestInManyParts(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, database: MongoDatabase) -> MongoSnapshots:
        return MongoSnapshots(database, part_bytes=1_000_000)


async def test_the_parts_of_an_older_snapshot_are_removed(database: MongoDatabase) -> None:
    snapshots = MongoSnapshots(database, part_bytes=10)
    await snapshots.store(snapshot(version=100, state=b"0123456789" * 5))
    assert await database.snapshots.count_documents({}) == 5

    await snapshots.store(snapshot(version=200, state=b"abcdefghij" * 3))
    assert await database.snapshots.count_documents({}) == 3

    await snapshots.store(snapshot(version=150, state=b"0123456789" * 5))
    assert await database.snapshots.count_documents({}) == 3
    assert await snapshots.load(POST_A) == snapshot(version=200, state=b"abcdefghij" * 3)


async def test_a_snapshot_that_lacks_a_part_is_none(database: MongoDatabase) -> None:
    snapshots = MongoSnapshots(database, part_bytes=10)
    await snapshots.store(snapshot(state=b"0123456789" * 5))
    await database.snapshots.delete_one({"_id": {"$regex": "/3$"}})

    assert await snapshots.load(POST_A) is None
