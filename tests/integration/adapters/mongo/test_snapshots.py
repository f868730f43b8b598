import pytest

from adapters.mongo.database import MongoDatabase
from adapters.mongo.snapshots import MongoSnapshots
from contracts.snapshots import SnapshotsContract


class TestMongoSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, database: MongoDatabase) -> MongoSnapshots:
        return MongoSnapshots(database)
