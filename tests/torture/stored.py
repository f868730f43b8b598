"""What the servers hold, read past Postlog: the log from MongoDB, rows and checkpoints from PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pymongo
from pymongo.read_concern import ReadConcern

from application.envelopes import Commit
from application.ports.read_db import Checkpoint, LiveGeneration, ParkedStream
from application.rows import CommentRow, PostRow, PostStatus
from domain.ids import CommentId, PostId
from simulation.checker import History, check_checkpoints, check_parked, check_row, require
from torture.translation import commit_of

Comments = Mapping[CommentId, CommentRow]


def commits_after(url: str, database: str, position: int) -> list[Commit]:
    """Those that a majority of the nodes has. Raises what the driver raises."""
    with pymongo.MongoClient[dict[str, Any]](url, timeoutMS=60_000) as client:
        commits = client[database].get_collection("commits", read_concern=ReadConcern("majority"))
        return [commit_of(each) for each in commits.find({"_id": {"$gt": position}}).sort("_id")]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Of one moment. `partitions` are those of the live generation."""

    live: LiveGeneration
    checkpoints: Mapping[int, Checkpoint]
    posts: Mapping[PostId, PostRow]
    comments: Mapping[PostId, Comments]
    parked: Mapping[PostId, ParkedStream]

    @property
    def position(self) -> int:
        of_all = (self.checkpoints.get(number) for number in range(self.live.partitions))
        return min(each.position if each else 0 for each in of_all)


def snapshot_of(psycopg_url: str) -> Snapshot:
    """Raises what the driver raises."""
    with psycopg.connect(psycopg_url, connect_timeout=5) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return _read(connection.execute)


def _read(execute: Any) -> Snapshot:
    generation, slot, log_id, partitions, ready = execute(
        "SELECT generation, slot, log_id, partitions, ready FROM read_db"
    ).fetchone()
    comments: dict[PostId, dict[CommentId, CommentRow]] = {}
    for post, comment, *rest in execute(
        f"SELECT post_id::text, comment_id::text, username, comment, comment_date, edited FROM comments_{slot}"
    ):
        comments.setdefault(PostId(post), {})[CommentId(comment)] = CommentRow(PostId(post), CommentId(comment), *rest)
    return Snapshot(
        LiveGeneration(generation=generation, slot=slot, log_id=log_id, partitions=partitions, ready=ready),
        {
            number: Checkpoint(partition=number, position=position, commit_position=commit, commit_id=commit_id)
            for number, position, commit, commit_id in execute(
                "SELECT partition, position, commit_position, commit_id FROM checkpoints WHERE generation = %s",
                [generation],
            )
        },
        {
            PostId(post): PostRow(PostId(post), PostStatus(status), *rest)
            for post, status, *rest in execute(
                "SELECT post_id::text, status, author, date_posted, message, likes, comments_count, version "
                f"FROM posts_{slot}"
            )
        },
        comments,
        {
            PostId(post): ParkedStream(
                post_id=PostId(post),
                version=version,
                position=position,
                waiting_version=waiting,
                code=code,
                reason=reason,
                parked_at=at,
            )
            for post, version, position, waiting, code, reason, at in execute(
                "SELECT post_id::text, version, position, waiting_version, code, reason, parked_at FROM parked_streams "
                "WHERE generation = %s",
                [generation],
            )
        },
    )


@dataclass(slots=True)
class RowsSeen:
    """Of one read database, over time: its position never goes back. Rows that are the same as before are right as
    they were."""

    position: int = 0
    checked: int = 0
    _right: dict[PostId, tuple[PostRow, Comments]] = field(default_factory=dict)

    def check(self, history: History, snapshots: Sequence[Snapshot]) -> None:
        """In their order, against a log that is at least as new."""
        for each in snapshots:
            require(each.position >= self.position, "the rows went back from {} to {}", self.position, each.position)
            self.position = each.position
            require(each.comments.keys() <= each.posts.keys(), "there are comments of posts that have no row")
            for post_id, row in each.posts.items():
                comments = each.comments.get(post_id, {})
                if self._right.get(post_id) != (row, comments):
                    check_row(history, row, comments)
                    self._right[post_id] = (row, comments)
                    self.checked += 1
            check_checkpoints(history, each.live, each.checkpoints, each.posts, each.parked)
            check_parked(history, each.parked)
