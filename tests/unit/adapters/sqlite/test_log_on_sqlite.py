"""The log on SQLite keeps the contracts."""

import pytest

from adapters.sqlite.log_database import SqliteLog
from adapters.sqlite.relay_state import SqliteRelayState
from adapters.sqlite.snapshots import SqliteSnapshots
from contracts.commit_log import CommitLogContract
from contracts.event_store import EventStoreContract
from contracts.relay_state import RelayStateContract
from contracts.snapshots import SnapshotsContract


class TestEventStore(EventStoreContract):
    pass


class TestCommitLog(CommitLogContract):
    pass


class TestSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, sqlite_log: SqliteLog) -> SqliteSnapshots:
        return SqliteSnapshots(sqlite_log)


class TestRelayState(RelayStateContract):
    @pytest.fixture
    def relay(self, sqlite_log: SqliteLog) -> SqliteRelayState:
        return SqliteRelayState(sqlite_log)
