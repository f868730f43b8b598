"""Reads the parked streams of the live generation."""

from sqlalchemy import bindparam, select

from adapters.sql.database import SqlPort, in_thread
from adapters.sql.rows import to_parked
from adapters.sql.tables import parked_streams, read_db
from application.ports.read_db import ParkedStream
from domain.ids import PostId

_OF_LIVE = select(parked_streams).where(parked_streams.c.generation == select(read_db.c.generation).scalar_subquery())
_ONE = _OF_LIVE.where(parked_streams.c.post_id == bindparam("wanted"))
_FIRST = _OF_LIVE.order_by(parked_streams.c.post_id).limit(bindparam("at_most"))
_NEXT = _FIRST.where(parked_streams.c.post_id > bindparam("after"))


class SqlParkedStreams(SqlPort):
    @in_thread
    def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        statement = _FIRST if after is None else _NEXT
        with self._backend.engine.connect() as connection:
            return [to_parked(row) for row in connection.execute(statement, {"at_most": limit, "after": after})]

    @in_thread
    def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        with self._backend.engine.connect() as connection:
            row = connection.execute(_ONE, {"wanted": post_id}).one_or_none()
            return None if row is None else to_parked(row)
