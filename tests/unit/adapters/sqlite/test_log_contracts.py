"""The log on SQLite keeps the contracts."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite.event_store import SqliteSnapshots
from adapters.sqlite.log_file import SqliteLog
from adapters.sqlite.relay_state import SqliteRelayState
from adapters.wire.commit_json import events_to_json
from contracts.commit_log import CommitLogContract
from contracts.damaged_streams import DamagedStreamsContract, Rewrite
from contracts.event_store import EventStoreContract
from contracts.log_gaps import LogGapsContract, Removed
from contracts.old_history import OldHistoryContract
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


@pytest.fixture
def removed(log_path: Path) -> Removed:
    """Like an operator with a SQLite shell, who drops the trigger that forbids it."""

    @asynccontextmanager
    async def removed(positions: Sequence[int]) -> AsyncIterator[None]:
        wanted = f"position IN ({', '.join(str(position) for position in positions)})"
        with closing(sqlite3.connect(log_path)) as connection:
            with connection:
                connection.execute("DROP TRIGGER IF EXISTS commits_are_never_deleted")
                rows = connection.execute(f"SELECT * FROM commits WHERE {wanted}").fetchall()
                connection.execute(f"DELETE FROM commits WHERE {wanted}")
            yield
            with connection:
                connection.executemany("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    return removed


class TestLogGapsOnSqlite(LogGapsContract):
    """Adopts the contract with the fixtures `open_log` and `removed`."""


@pytest.fixture
def rewrite(log_path: Path) -> Rewrite:
    """Like an operator with a SQLite shell, who drops the trigger that forbids it."""

    async def rewrite(position: int, **changes: Any) -> None:
        if "events" in changes:
            changes["events"] = events_to_json(changes["events"]).decode()
        assignments = ", ".join(f"{name} = :{name}" for name in changes)
        with closing(sqlite3.connect(log_path)) as connection, connection:
            connection.execute("DROP TRIGGER IF EXISTS commits_are_never_changed")
            connection.execute("UPDATE commits SET last_version = 99 WHERE position = ?", (position,))
            connection.execute(f"UPDATE commits SET {assignments} WHERE position = :at", changes | {"at": position})
            connection.execute(
                "UPDATE commits SET last_version = version + max(json_array_length(events), 1) - 1 WHERE position = ?",
                (position,),
            )

    return rewrite


class TestDamagedStreamsOnSqlite(DamagedStreamsContract):
    """Adopts the contract with the fixtures `open_log` and `rewrite`."""


class TestOldHistoryOnSqlite(OldHistoryContract):
    """Adopts the contract with the fixture `open_log`."""
