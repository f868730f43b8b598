"""Rows for queries from a SQL read database. The work itself is `reading`."""

from collections.abc import Mapping, Sequence

from adapters.sql.database import SqlDatabase
from adapters.sql.grouped import Grouped
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp, Stamped
from application.rows import CommentRow, PostRow
from domain.ids import PostId

_PATIENCE = 10.0
"""How many seconds a reader waits for a database that froze."""


class SqlPostViews:
    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._posts_by_id = Grouped(self._look_up)

    async def post(self, post_id: PostId) -> Stamped[PostWithComments | None]:
        return await self._posts_by_id.get(post_id)

    async def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        return await self._database.run(lambda opened: opened.reading.posts(wanted, limit, after), _PATIENCE)

    async def comments(
        self, post_id: PostId, limit: int, after: CommentKeyset | None
    ) -> Stamped[list[CommentRow] | None]:
        return await self._database.run(lambda opened: opened.reading.comments(post_id, limit, after), _PATIENCE)

    async def stamp(self) -> Stamp:
        return await self._database.run(lambda opened: opened.reading.stamp(), _PATIENCE)

    async def _look_up(self, post_ids: Sequence[PostId]) -> Mapping[PostId, Stamped[PostWithComments | None]]:
        return await self._database.run(lambda opened: opened.reading.posts_by_id(post_ids), _PATIENCE)
