"""Snapshots beside the log on SQLite."""

import asyncio
import sqlite3

from adapters.sqlite.log_database import SqliteLog
from application.ports.event_store import Snapshot
from domain.ids import PostId

_LOAD = "SELECT version, position, format, state FROM snapshots WHERE stream_id = ?"

_STORE = """INSERT INTO snapshots (stream_id, version, position, format, state) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (stream_id) DO UPDATE SET
        version = excluded.version, position = excluded.position, format = excluded.format, state = excluded.state
    WHERE excluded.version >= snapshots.version"""


class SqliteSnapshots:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def load(self, stream_id: PostId) -> Snapshot | None:
        row = await self._log.read(lambda connection: connection.execute(_LOAD, (stream_id,)).fetchone())
        if row is None:
            return None
        version, position, form, state = row
        return Snapshot(stream_id=stream_id, version=version, position=position, format=form, state=state)

    async def store(self, snapshot: Snapshot) -> None:
        row = (snapshot.stream_id, snapshot.version, snapshot.position, snapshot.format, snapshot.state)

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(_STORE, row)

        await asyncio.shield(self._log.write(change))
