"""Rows and checkpoints of a read database, written in one transaction; and its parked posts.

A read database has two slots of tables, `a` and `b`. The live row names the slot that readers see and its generation.
Checkpoints belong to a generation, one per partition (only number 0 if projectors follow the log itself).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from application.rows import CommentKey, CommentRow, PostRow
from domain.ids import PostId

Slot = Literal["a", "b"]


class CheckpointMoved(Exception):
    """The generation is not live any more, or a checkpoint is not where the caller expected it, because another
    projector or a swap was faster. Nothing was written; the caller must read the checkpoints again and resume from
    there.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Every commit of `partition` up to `position` is in the rows, or its stream is parked.

    `commit_position` and `commit_id` name the last commit that was seen, to detect another log; 0 and "" before the
    first. `topic_id` and `offset` (the next to read) are None if the projector follows the log itself.
    """

    partition: int
    position: int
    commit_position: int = 0
    commit_id: str = ""
    topic_id: str | None = None
    offset: int | None = None


def lowest_checkpoint(checkpoints: Mapping[int, Checkpoint], partitions: int) -> Checkpoint:
    """Of all partitions: a read database is as new as the one that is furthest behind. A missing checkpoint is at 0."""
    of_all = [checkpoints.get(number) or Checkpoint(partition=number, position=0) for number in range(partitions)]
    return min(of_all, key=lambda checkpoint: checkpoint.position)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGeneration:
    """The live row. `log_id` is None until a projector has claimed the database for its log. The database's position is
    the minimum of `partitions` checkpoints (a missing one counts as 0). `ready` is False until the database has been
    filled once up to the tip that its first projector found.
    """

    generation: int
    slot: Slot
    log_id: str | None
    partitions: int
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedStream:
    """A post with an event that could not be projected: that event and all later ones wait, up to `waiting_version`.
    `version` and `position` are those of the first commit that waits; `code` is the error's code, `reason` its
    sentence.
    """

    post_id: PostId
    version: int
    position: int
    waiting_version: int
    code: str
    reason: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class RowKeys:
    """The rows that a batch may read and write."""

    posts: Sequence[PostId]
    comments: Sequence[CommentKey]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they are stored. A missing row has no entry."""

    posts: Mapping[PostId, PostRow]
    comments: Mapping[CommentKey, CommentRow]
    parked: Mapping[PostId, ParkedStream]


@dataclass(frozen=True, slots=True)
class RowChanges:
    """The changes that a fold returns. All comments of `cleared` posts are deleted before `comments` are written.
    `deleted` are rows of posts that are not in the log: only a repair has any.
    """

    posts: Sequence[PostRow] = ()
    comments: Sequence[CommentRow] = ()
    comments_removed: Sequence[CommentKey] = ()
    cleared: Sequence[PostId] = ()
    parked: Sequence[ParkedStream] = ()
    unparked: Sequence[PostId] = ()
    deleted: Sequence[PostId] = ()


@dataclass(frozen=True, slots=True)
class CheckpointMove:
    """`before` is what the caller expects to be stored (None: no row yet); `after` replaces it."""

    before: Checkpoint | None
    after: Checkpoint


Fold = Callable[[Rows], RowChanges]
"""Pure and synchronous. It may run in another thread, and again if the transaction is retried. An exception rolls the
transaction back and is raised by `project` as it is.
"""


@dataclass(frozen=True, slots=True)
class ProjectionBatch:
    """Without moves, every checkpoint of the generation is locked and none is checked or moved: for repairs.

    `partitions` is the number of partitions by which the caller divides the posts (None: it does not), because the
    meaning of a checkpoint depends on it.
    """

    generation: int
    moves: Sequence[CheckpointMove]
    row_keys: RowKeys = field(default_factory=lambda: RowKeys((), ()))
    partitions: int | None = None


class ProjectionStore(Protocol):
    async def live(self) -> LiveGeneration:
        """The live row. Raises `ReadDbUnavailable`."""
        ...

    async def database_id(self) -> str:
        """Identifies this read database, whatever its address; a copy of it elsewhere has another id. Letters and
        digits. Raises `ReadDbUnavailable`.
        """
        ...

    async def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        """By partition. Raises `ReadDbUnavailable`."""
        ...

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        """One transaction: lock the checkpoints, read the rows of the keys, fold, write, move the checkpoints.

        It locks before it reads, so the fold sees exactly the rows that it replaces. A move whose `before` equals its
        `after` is locked and checked but not written. Raises `CheckpointMoved` if the generation is not live, has
        another number of partitions, or a checkpoint is not at its `before`; nothing is written then. Transient
        failures are retried inside; raises `ReadDbUnavailable` if the server is unavailable.
        """
        ...

    async def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        """Record the log's id and its number of partitions in the live row; returns the row. An existing log id is not
        replaced: the caller compares. If the number of partitions changes, the checkpoints are replaced in the same
        transaction: each new one has the lowest old position (0 if one was missing) and its commit, and no topic and
        offset. Raises `CheckpointMoved` if another generation is live.
        """
        ...

    async def mark_ready(self, generation: int) -> None:
        """From now on queries are answered. Raises `CheckpointMoved` if another generation is live."""
        ...


class ParkedStreams(Protocol):
    """Which posts are parked, and why; for operators, and for the retry of projectors."""

    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        """Parked streams of the live generation with post ids above `after`, by post id. Raises `ReadDbUnavailable`."""
        ...

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        """The post's entry in the live generation, if it is parked. Raises `ReadDbUnavailable`."""
        ...
