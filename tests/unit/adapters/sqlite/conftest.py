from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.sqlite.commit_log import SqliteCommitLog
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from contracts.log_handle import LogHandle, OpenLog


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def open_log(log_path: Path) -> OpenLog:
    @asynccontextmanager
    async def opened() -> AsyncIterator[LogHandle]:
        async with SqliteLog(log_path) as log:
            store = SqliteEventStore(log)
            yield LogHandle(store, SqliteCommitLog(log), store)

    return opened


@pytest.fixture
async def sqlite_log(log_path: Path) -> AsyncIterator[SqliteLog]:
    async with SqliteLog(log_path) as log:
        yield log
