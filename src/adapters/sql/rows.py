"""Rows of the tables <-> rows of the application, and the rows that a batch of a projector affects: read before the
fold, written after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from typing import Any, Self

from sqlalchemy import Connection, Delete, Select, Table, and_, bindparam, delete, select

from adapters.sql.backend import Row, SqlBackend, Step
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


def to_post(row: Row) -> PostRow:
    """From the columns of `PostRow`, in its order."""
    post_id, status, author, date_posted, message, likes, comments_count, version = row
    return PostRow(post_id, PostStatus(status), author, date_posted, message, likes, comments_count, version)


def from_comment(comment: CommentRow) -> Row:
    return tuple(comment)


def to_comment(row: Row) -> CommentRow:
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


def to_checkpoint(row: Row) -> Checkpoint:
    """From a row of all columns of `checkpoints`."""
    _, partition, position, commit_position, commit_id, topic_id, offset = row
    return Checkpoint(
        partition=partition,
        position=position,
        commit_position=commit_position,
        commit_id=commit_id,
        topic_id=topic_id,
        offset=offset,
    )


def to_live(row: Row) -> LiveGeneration:
    """From a row of all columns of `read_db`."""
    _, generation, slot, log_id, partitions, ready = row
    return LiveGeneration(generation=generation, slot=slot, log_id=log_id, partitions=partitions, ready=ready)


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


def to_parked(row: Row) -> ParkedStream:
    """From a row of all columns of `parked_streams`."""
    _, post_id, version, position, waiting_version, code, reason, parked_at = row
    return ParkedStream(
        post_id=post_id,
        version=version,
        position=position,
        waiting_version=waiting_version,
        code=code,
        reason=reason,
        parked_at=parked_at,
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
        return self.read_after(connection, (), slot, generation, row_keys)[1]

    def read_after(
        self, connection: Connection, first: Sequence[Step], slot: Slot, generation: int, row_keys: RowKeys
    ) -> tuple[Sequence[Sequence[Row]], Rows]:
        """Executes other statements together with those that read the rows; returns their results, too."""
        statements, values = self._slots[slot], self._backend.key_values
        posts: list[Step] = []
        parked: list[Step] = []
        comments: list[Step] = []
        if row_keys.posts:
            wanted = values([(post_id,) for post_id in row_keys.posts])
            posts, parked = [(statements.posts, wanted)], [(self._parked, {**wanted, "of": generation})]
        if row_keys.comments:
            comments = [(statements.comments, values(row_keys.comments))]
        results = iter(self._backend.execute(connection, [*first, *posts, *parked, *comments]))
        return list(islice(results, len(first))), Rows(
            posts={row[0]: to_post(row) for found in islice(results, len(posts)) for row in found},
            parked={row[1]: to_parked(row) for found in islice(results, len(parked)) for row in found},
            comments={row[:2]: to_comment(row) for found in results for row in found},
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
