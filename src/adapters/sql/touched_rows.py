"""The rows that a batch of a projector touches: read before the fold, written after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy import Connection, Delete, Select, Table, and_, bindparam, delete, select

from adapters.sql.backend import Key, SqlBackend
from adapters.sql.rows import from_comment, from_parked, from_post, to_comment, to_parked, to_post
from adapters.sql.tables import SLOTS, SlotTables, parked_streams
from application.ports.read_db import RowChanges, Rows, Slot, Touched
from application.rows import CommentRow, PostRow

_Statement = Select[*tuple[Any, ...]]

_UNPARK = delete(parked_streams).where(
    parked_streams.c.generation == bindparam("of"), parked_streams.c.post_id == bindparam("freed")
)


@dataclass(frozen=True, slots=True)
class _SlotStatements:
    posts: _Statement
    comments: _Statement
    delete_post: Delete
    remove_comment: Delete
    clear_comments: Delete

    @classmethod
    def of(cls, tables: SlotTables, backend: SqlBackend) -> Self:
        comments = tables.comments.c
        return cls(
            posts=_wanted(backend, tables.posts, PostRow._fields, ("post_id",)),
            comments=_wanted(backend, tables.comments, CommentRow._fields, ("post_id", "comment_id")),
            delete_post=delete(tables.posts).where(tables.posts.c.post_id == bindparam("deleted")),
            remove_comment=delete(tables.comments).where(
                comments.post_id == bindparam("of_post"), comments.comment_id == bindparam("removed")
            ),
            clear_comments=delete(tables.comments).where(comments.post_id == bindparam("cleared")),
        )


class TouchedRows:
    def __init__(self, backend: SqlBackend) -> None:
        self._backend = backend
        self._slots = {slot: _SlotStatements.of(tables, backend) for slot, tables in SLOTS.items()}
        self._parked = _wanted(backend, parked_streams, parked_streams.c.keys(), ("post_id",)).where(
            parked_streams.c.generation == bindparam("of")
        )

    def read(self, connection: Connection, slot: Slot, generation: int, touched: Touched) -> Rows:
        statements = self._slots[slot]
        post_keys = [(post_id,) for post_id in touched.posts]
        posts = self._select(connection, statements.posts, post_keys)
        comments = self._select(connection, statements.comments, touched.comments)
        parked = self._select(connection, self._parked, post_keys, of=generation)
        return Rows(
            posts={row.post_id: to_post(row) for row in posts},
            comments={(row.post_id, row.comment_id): to_comment(row) for row in comments},
            parked={row.post_id: to_parked(row) for row in parked},
        )

    def write(self, connection: Connection, slot: Slot, generation: int, changes: RowChanges) -> None:
        tables, statements = SLOTS[slot], self._slots[slot]
        _each(connection, statements.clear_comments, [{"cleared": post_id} for post_id in changes.cleared])
        removed = [{"of_post": post_id, "removed": comment_id} for post_id, comment_id in changes.comments_removed]
        _each(connection, statements.remove_comment, removed)
        self._upsert(connection, tables.comments, [from_comment(comment) for comment in changes.comments])
        _each(connection, statements.delete_post, [{"deleted": post_id} for post_id in changes.deleted])
        self._upsert(connection, tables.posts, [from_post(post) for post in changes.posts])
        self._upsert(connection, parked_streams, [from_parked(generation, parked) for parked in changes.parked])
        _each(connection, _UNPARK, [{"of": generation, "freed": post_id} for post_id in changes.unparked])

    def load(self, connection: Connection, slot: Slot, generation: int, rows: Rows, changes: RowChanges) -> None:
        """As `write`, for many new rows: those that `rows` has not are loaded in bulk."""
        tables = SLOTS[slot]
        new_posts = [post for post in changes.posts if post.post_id not in rows.posts]
        new_comments = [each for each in changes.comments if (each.post_id, each.comment_id) not in rows.comments]
        known = replace(
            changes,
            posts=[post for post in changes.posts if post.post_id in rows.posts],
            comments=[each for each in changes.comments if (each.post_id, each.comment_id) in rows.comments],
            cleared=[post_id for post_id in changes.cleared if post_id in rows.posts],
        )
        self.write(connection, slot, generation, known)
        self._backend.load(connection, tables.posts, [from_post(post) for post in new_posts])
        self._backend.load(connection, tables.comments, [from_comment(comment) for comment in new_comments])

    def _select(
        self, connection: Connection, statement: _Statement, keys: Sequence[Key], **values: object
    ) -> Sequence[Any]:
        if not keys:
            return ()
        return connection.execute(statement, {**self._backend.key_values(keys), **values}).all()

    def _upsert(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._backend.upsert(connection, table, rows)


def _wanted(backend: SqlBackend, table: Table, columns: Sequence[str], key: Sequence[str]) -> _Statement:
    """These columns of the rows whose key is in the statement's key set."""
    wanted = backend.key_set([table.c[name] for name in key])
    is_wanted = and_(*(table.c[name] == wanted.c[name] for name in key))
    return select(*(table.c[name] for name in columns)).join_from(wanted, table, is_wanted)


def _each(connection: Connection, statement: Delete, values: Sequence[Mapping[str, object]]) -> None:
    if values:
        connection.execute(statement, values)
