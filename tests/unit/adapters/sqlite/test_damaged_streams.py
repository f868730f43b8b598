import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.wire.commit_json import events_to_json
from contracts.damaged_streams import DamagedStreamsContract, Rewrite


@pytest.fixture
def rewrite(log_path: Path) -> Rewrite:
    """As somebody with a SQLite shell does who has dropped the trigger that forbids it."""

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
