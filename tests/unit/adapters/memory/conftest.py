from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.memory.commit_log import MemoryCommitLog
from adapters.memory.event_store import MemoryEventStore
from adapters.memory.log import MemoryLog
from contracts.log_handle import LogHandle, OpenLog


@pytest.fixture
def memory_log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def open_log(memory_log: MemoryLog) -> OpenLog:
    """Another process can't share this log; a further handle is the nearest there is."""
    log = memory_log

    @asynccontextmanager
    async def opened() -> AsyncIterator[LogHandle]:
        store = MemoryEventStore(log)
        yield LogHandle(store, MemoryCommitLog(log), store)

    return opened
