"""The log in memory keeps the contracts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemoryRelayState, MemorySnapshots
from contracts.commit_log import CommitLogContract
from contracts.damaged_streams import DamagedStreamsContract, Rewrite, rewrite_in_memory
from contracts.event_store import EventStoreContract
from contracts.log_handle import LogHandle, OpenLog
from contracts.relay_state import RelayStateContract
from contracts.snapshots import SnapshotsContract


@pytest.fixture
def memory_log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def open_log(memory_log: MemoryLog) -> OpenLog:
    """Another process can't share this log; a second handle is the nearest equivalent."""
    log = memory_log

    @asynccontextmanager
    async def opened() -> AsyncIterator[LogHandle]:
        store = MemoryEventStore(log)
        yield LogHandle(store, MemoryCommitLog(log), store)

    return opened


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


@pytest.fixture
def rewrite(memory_log: MemoryLog) -> Rewrite:
    async def rewrite(position: int, **changes: Any) -> None:
        rewrite_in_memory(memory_log, position, **changes)

    return rewrite


class TestDamagedStreamsInMemory(DamagedStreamsContract):
    """Adopts the contract with the fixtures `open_log` and `rewrite`."""
