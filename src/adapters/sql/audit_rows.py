"""The rows of a SQL read database, for the audit. The work itself is `auditing`."""

from collections.abc import Collection, Sequence

from adapters.sql.database import SqlDatabase
from application.ports.audit_rows import AuditedPost, AuditStart
from application.rows import CommentKey
from domain.ids import PostId


class SqlAuditRows:
    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def start(self) -> AuditStart:
        return await self._database.run(lambda opened: opened.auditing.start())

    async def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        return await self._database.run(lambda opened: opened.auditing.page(generation, after, limit))

    async def some(self, generation: int, post_ids: Collection[PostId]) -> Sequence[AuditedPost]:
        return await self._database.run(lambda opened: opened.auditing.some(generation, post_ids))

    async def parked(self, generation: int) -> frozenset[PostId]:
        return await self._database.run(lambda opened: opened.auditing.parked(generation))

    async def orphans(self, generation: int, limit: int) -> Sequence[CommentKey]:
        return await self._database.run(lambda opened: opened.auditing.orphans(generation, limit))
