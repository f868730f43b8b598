"""Rows of the tables <-> rows of the application."""

from hashlib import sha256
from typing import Any

from sqlalchemy import Row as SqlRow

from adapters.sql.backend import Row
from application.ports.read_db import Checkpoint, LiveGeneration, ParkedStream
from application.rows import CommentRow, PostRow, PostStatus
from domain.names import name_key

_LONGEST_FOLDED = 200
"""In code points: what an index takes in every engine. Names from other systems may be longer than our limit."""


def author_folded(author: str) -> str:
    """By which `?author=` finds posts, whatever the collation: the key of the name. Of a very long one, and of one
    that ends with a blank, which SQL Server would not see, the beginning and a digest, which is equal for equal
    names just the same.
    """
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
