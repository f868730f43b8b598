"""The log in memory keeps the contracts."""

import pytest

from adapters.memory.log import MemoryLog
from adapters.memory.relay_state import MemoryRelayState
from adapters.memory.snapshots import MemorySnapshots
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
    def snapshots(self) -> MemorySnapshots:
        return MemorySnapshots(MemoryLog())


class TestRelayState(RelayStateContract):
    @pytest.fixture
    def relay(self) -> MemoryRelayState:
        return MemoryRelayState(MemoryLog())
