import pytest

from adapters.mongo.database import MongoDatabase
from adapters.mongo.relay_state import MongoRelayState
from contracts.relay_state import RelayStateContract


class TestMongoRelayState(RelayStateContract):
    @pytest.fixture
    def relay(self, database: MongoDatabase) -> MongoRelayState:
        return MongoRelayState(database)
