"""Lease and checkpoint of the relay beside the log on SQLite, in one row. The store's clock is the machine's, which
SQLite reads inside the statement that compares it.
"""

import asyncio
import sqlite3
from typing import Any

from adapters.sqlite.log_file import SqliteLog
from application.ports.relay_state import Lease, RelayStatus

# `ends_at` is a Julian day, the unit of SQLite's own clock.

_ACQUIRE = """INSERT INTO relay (id, owner, token, position, ends_at)
        VALUES (1, :owner, 1, 0, julianday('now') + :ttl / 86400.0)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, token = token + 1, ends_at = excluded.ends_at
        WHERE owner IS NULL OR owner = excluded.owner OR ends_at <= julianday('now')
    RETURNING token, position"""

_RENEW = """UPDATE relay SET ends_at = julianday('now') + :ttl / 86400.0
    WHERE owner IS NOT NULL AND token = :token RETURNING token"""

_ADVANCE = """UPDATE relay SET position = max(position, :position)
    WHERE owner IS NOT NULL AND token = :token RETURNING token"""

_SET_BACK = """UPDATE relay SET position = min(position, :position)
    WHERE owner IS NOT NULL AND token = :token RETURNING token"""

_RELEASE = "UPDATE relay SET owner = NULL WHERE owner IS NOT NULL AND token = :token RETURNING token"

_STATE = "SELECT iif(ends_at > julianday('now'), owner, NULL), token, position FROM relay"


class SqliteRelayState:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def acquire(self, owner: str, ttl_seconds: float) -> Lease | None:
        row = await self._write(_ACQUIRE, owner=owner, ttl=ttl_seconds)
        return Lease(owner=owner, token=row[0], position=row[1], ttl_seconds=ttl_seconds) if row else None

    async def renew(self, lease: Lease) -> bool:
        return await self._write(_RENEW, token=lease.token, ttl=lease.ttl_seconds) is not None

    async def advance(self, lease: Lease, position: int) -> bool:
        return await self._write(_ADVANCE, token=lease.token, position=position) is not None

    async def set_back(self, lease: Lease, position: int) -> bool:
        return await self._write(_SET_BACK, token=lease.token, position=position) is not None

    async def release(self, lease: Lease) -> None:
        await self._write(_RELEASE, token=lease.token)

    async def state(self) -> RelayStatus | None:
        row = await self._log.read(lambda connection: connection.execute(_STATE).fetchone())
        return RelayStatus(owner=row[0], token=row[1], position=row[2]) if row else None

    async def _write(self, statement: str, **parameters: object) -> tuple[Any, ...] | None:
        """The row that the statement returns, if it changed one."""

        def change(connection: sqlite3.Connection) -> tuple[Any, ...] | None:
            rows = connection.execute(statement, parameters).fetchall()
            return rows[0] if rows else None

        return await asyncio.shield(self._log.write(change))
