import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from contracts.log_holes import LogHolesContract, Removed


@pytest.fixture
def removed(log_path: Path) -> Removed:
    """As somebody with a SQLite shell does who has dropped the trigger that forbids it."""

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


class TestLogHolesOnSqlite(LogHolesContract):
    """Adopts the contract with the fixtures `open_log` and `removed`."""
