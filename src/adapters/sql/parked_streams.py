"""Which posts wait in a SQL read database, and why."""

from adapters.sql.database import SqlDatabase
from application.ports.read_db import ParkedStream
from domain.ids import PostId

_PATIENCE = 10.0
"""How many seconds a reader waits for a database that froze."""


class SqlParkedStreams:
    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        return await self._database.run(lambda opened: opened.parked.parked(limit, after), _PATIENCE)

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        return await self._database.run(lambda opened: opened.parked.parked_stream(post_id), _PATIENCE)
