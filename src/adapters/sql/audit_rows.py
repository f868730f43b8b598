"""The audit's own SQL. It shares the tables with projectors, and no statement.

Each page comes from one statement, posts joined with their comments, and so from one snapshot; then the live row is
read again.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, case, func, select
from sqlalchemy.sql.elements import ColumnElement

from adapters.sql.backend import consistent_read
from adapters.sql.database import SqlPort, in_thread
from adapters.sql.tables import SLOTS, checkpoints, parked_streams, read_db
from application.ports.audit_rows import AuditedPost, AuditStart, GenerationGone
from application.ports.read_db import Slot
from application.rows import CommentKey, CommentRow, PostRow, PostStatus
from domain.ids import PostId

_POST_COLUMNS = len(PostRow._fields)

_COMMENTS_A_PAGE = 10_000
"""Of all posts of a page together, unless a single one has more."""


class SqlAuditRows(SqlPort):
    @in_thread
    def start(self) -> AuditStart:
        with self._backend.engine.connect() as connection:
            live = connection.execute(select(read_db.c.generation, read_db.c.slot, read_db.c.partitions)).one()
            positions = select(func.count(), func.min(checkpoints.c.position)).where(
                checkpoints.c.generation == live.generation
            )
            known, lowest = connection.execute(positions).one()
            posts = connection.execute(select(func.count()).select_from(SLOTS[live.slot].posts)).scalar_one()
            _slot_if_live(connection, live.generation)
            return AuditStart(live.generation, lowest if known >= live.partitions else 0, posts)

    @in_thread
    def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        with self._backend.engine.connect() as connection:
            posts = SLOTS[_slot_if_live(connection, generation)].posts
            next_ones = select(posts.c.post_id, posts.c.comments_count).order_by(posts.c.post_id).limit(limit)
            if after is not None:
                next_ones = next_ones.where(posts.c.post_id > after)
            few = _with_few_comments(connection.execute(next_ones).all())
            wanted = select(posts.c.post_id).order_by(posts.c.post_id).limit(few)
            if after is not None:
                wanted = wanted.where(posts.c.post_id > after)
            return self._audited(connection, generation, wanted, {}) if few else []

    @in_thread
    def by_ids(self, generation: int, post_ids: Collection[PostId]) -> Sequence[AuditedPost]:
        if not post_ids:
            return []
        with self._backend.engine.connect() as connection:
            posts = SLOTS[_slot_if_live(connection, generation)].posts
            keys = self._backend.key_set([posts.c.post_id])
            wanted = select(keys.c.post_id)
            values = self._backend.key_values([(post_id,) for post_id in post_ids])
            return self._audited(connection, generation, wanted, values)

    @in_thread
    def parked(self, generation: int) -> frozenset[PostId]:
        with self._backend.engine.connect() as connection:
            of_generation = select(parked_streams.c.post_id).where(parked_streams.c.generation == generation)
            found = frozenset(connection.execute(of_generation).scalars())
            _slot_if_live(connection, generation)
            return found

    @in_thread
    def orphans(self, generation: int, limit: int) -> Sequence[CommentKey]:
        with self._backend.engine.connect() as connection:
            tables = SLOTS[_slot_if_live(connection, generation)]
            posts, comments = tables.posts.c, tables.comments.c
            has_post = select(posts.post_id).where(posts.post_id == comments.post_id).exists()
            keys = (comments.post_id, comments.comment_id)
            found = connection.execute(select(*keys).where(~has_post).order_by(*keys).limit(limit)).all()
            _slot_if_live(connection, generation)
            return [(row.post_id, row.comment_id) for row in found]

    def _audited(
        self, connection: Connection, generation: int, wanted: Select[tuple[Any]], values: Mapping[str, Any]
    ) -> Sequence[AuditedPost]:
        tables = SLOTS[_slot_if_live(connection, generation)]
        posts, comments = tables.posts, tables.comments
        chosen = wanted.subquery("chosen")
        statement = (
            select(
                *(_once(posts.c[name], comments) for name in PostRow._fields),
                *(comments.c[name] for name in CommentRow._fields),
            )
            .join_from(chosen, posts, posts.c.post_id == chosen.c.post_id)
            .outerjoin(comments, comments.c.post_id == posts.c.post_id)
            .order_by(posts.c.post_id, comments.c.comment_id)
        )
        _, rows = consistent_read(self._backend, connection, lambda: connection.execute(statement, values).all())
        _slot_if_live(connection, generation)
        return _grouped(rows)


def _with_few_comments(next_ones: Sequence[Any]) -> int:
    """How many of these posts one page takes."""
    comments = 0
    for number, (_, count) in enumerate(next_ones):
        comments += count
        if number and comments > _COMMENTS_A_PAGE:
            return number
    return len(next_ones)


def _once(column: Column[Any], comments: Table) -> ColumnElement[Any]:
    """A message may be long, so it is sent beside the first comment of its post only."""
    if column.name != "message":
        return column
    place = func.row_number().over(partition_by=column.table.c.post_id, order_by=comments.c.comment_id)
    return case((place == 1, column), else_=None).label(column.name)


def _slot_if_live(connection: Connection, generation: int) -> Slot:
    live = connection.execute(select(read_db.c.generation, read_db.c.slot)).one()
    if live.generation != generation:
        raise GenerationGone(f"Generation {live.generation} is live now, not {generation}.")
    slot: Slot = live.slot
    return slot


def _grouped(rows: Sequence[Any]) -> list[AuditedPost]:
    comments: dict[PostId, list[CommentRow]] = {}
    posts: dict[PostId, PostRow] = {}
    for row in rows:
        post_id, status, *others = row[:_POST_COLUMNS]
        if post_id not in posts:
            posts[post_id] = PostRow(post_id, PostStatus(status), *others)
        of_post = comments.setdefault(post_id, [])
        comment = CommentRow(*row[_POST_COLUMNS:])
        if comment.comment_id is not None:
            of_post.append(comment)
    return [AuditedPost(post, comments[post_id]) for post_id, post in posts.items()]
