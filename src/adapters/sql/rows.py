"""Rows of the tables <-> rows of the application, and the rows that a batch of a projector affects: read before the
fold, written after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Self

from sqlalchemy import Connection, Delete, Select, Table, and_, bindparam, delete, select
from sqlalchemy import Row as SqlRow

from adapters.sql.backend import Key, Row, SqlBackend
from adapters.sql.tables import SLOTS, SlotTables, parked_streams
from application.ports.read_db import Checkpoint, LiveGeneration, ParkedStream, RowChanges, RowKeys, Rows, Slot
from application.rows import CommentRow, PostRow, PostStatus
from domain.names import name_key

_LONGEST_FOLDED = 200
"""In code points, so that an index can hold it in every engine. Names from other systems may exceed our limit."""


def author_folded(author: str) -> str:
    """What `?author=` compares, whatever the collation: the key of the name. For a very long key, and for one that ends
    with a blank, which SQL Server ignores, its beginning and a digest, which are equal for equal names, too."""
    folded = name_key(author)
    if len(folded) <= _LONGEST_FOLDED and not folded.endswith(" "):
        return folded
    digest = sha256(folded.encode()).hexdigest()
    return folded[: _LONGEST_FOLDED - len(digest)] + digest


def from_post(post: PostRow) -> Row:
    return (
        post.post_id,
        post.status.value,
        post.author,
        post.date_posted,
        post.message,
        post.likes,
        post.comments_count,
        post.version,
        author_folded(post.author),
    )


def to_post(row: SqlRow[*tuple[Any, ...]]) -> PostRow:
    """From the columns of `PostRow`, in its order."""
    post_id, status, author, date_posted, message, likes, comments_count, version = row
    return PostRow(post_id, PostStatus(status), author, date_posted, message, likes, comments_count, version)


def from_comment(comment: CommentRow) -> Row:
    return tuple(comment)


def to_comment(row: SqlRow[*tuple[Any, ...]]) -> CommentRow:
    return CommentRow(*row)


def from_checkpoint(generation: int, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "generation": generation,
        "partition": checkpoint.partition,
        "position": checkpoint.position,
        "commit_position": checkpoint.commit_position,
        "commit_id": checkpoint.commit_id,
        "topic_id": checkpoint.topic_id,
        "next_offset": checkpoint.offset,
    }


def to_checkpoint(row: SqlRow[*tuple[Any, ...]]) -> Checkpoint:
    """From a row of all columns of `checkpoints`."""
    return Checkpoint(
        partition=row.partition,
        position=row.position,
        commit_position=row.commit_position,
        commit_id=row.commit_id,
        topic_id=row.topic_id,
        offset=row.next_offset,
    )


def to_live(row: SqlRow[*tuple[Any, ...]]) -> LiveGeneration:
    """From a row of all columns of `read_db`."""
    return LiveGeneration(
        generation=row.generation, slot=row.slot, log_id=row.log_id, partitions=row.partitions, ready=row.ready
    )


def from_parked(generation: int, parked: ParkedStream) -> Row:
    return (
        generation,
        parked.post_id,
        parked.version,
        parked.position,
        parked.waiting_version,
        parked.code,
        parked.reason,
        parked.parked_at,
    )


def to_parked(row: SqlRow[*tuple[Any, ...]]) -> ParkedStream:
    """From a row of all columns of `parked_streams`."""
    return ParkedStream(
        post_id=row.post_id,
        version=row.version,
        position=row.position,
        waiting_version=row.waiting_version,
        code=row.code,
        reason=row.reason,
        parked_at=row.parked_at,
    )


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


class AffectedRows:
    def __init__(self, backend: SqlBackend) -> None:
        self._backend = backend
        self._slots = {slot: _SlotStatements.of(tables, backend) for slot, tables in SLOTS.items()}
        self._parked = _wanted(backend, parked_streams, parked_streams.c.keys(), ("post_id",)).where(
            parked_streams.c.generation == bindparam("of")
        )

    def read(self, connection: Connection, slot: Slot, generation: int, row_keys: RowKeys) -> Rows:
        statements = self._slots[slot]
        post_keys = [(post_id,) for post_id in row_keys.posts]
        posts = self._select(connection, statements.posts, post_keys)
        comments = self._select(connection, statements.comments, row_keys.comments)
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
