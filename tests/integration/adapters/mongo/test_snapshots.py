import pytest

from adapters.mongo.database import MongoDatabase
from adapters.mongo.snapshots import MongoSnapshots
from contracts.log_handle import POST_A
from contracts.snapshots import SnapshotsContract, snapshot


class TestMongoSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, database: MongoDatabase) -> MongoSnapshots:
        return MongoSnapshots(database)


class TestInManyParts(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, database: MongoDatabase) -> MongoSnapshots:
        return MongoSnapshots(database, part_bytes=1_000_000)


async def test_the_parts_of_an_older_snapshot_go(database: MongoDatabase) -> None:
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
