"""Rows and checkpoint of a read database, in one transaction.

A read database has two slots of tables, `a` and `b`. The live row names the slot that readers see and its generation.
Checkpoints belong to a generation, one a partition (one only, number 0, when projectors follow the log itself).

Which posts wait, and why; for people and for the retry at every start.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from application.rows import CommentKey, CommentRow, PostRow
from domain.ids import PostId

Slot = Literal["a", "b"]


class CheckpointMoved(Exception):
    """The generation is not live any more, or the checkpoint is not where the caller believed: another projector, or a
    swap, was first. Nothing was written; read the checkpoints again and go on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Every commit of `partition` up to `position` is in the rows, or its stream is parked.

    `commit_position` and `commit_id` name the last commit that was seen, to recognise another log; 0 and "" before the
    first. `topic_id` and `offset` (the next to read) are None when the log itself is followed.
    """

    partition: int
    position: int
    commit_position: int = 0
    commit_id: str = ""
    topic_id: str | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGeneration:
    """The live row. `log_id` is None until a projector has claimed the database for its log. `partitions` is how many
    checkpoints the database's position is the minimum of (a missing one counts as 0). `ready` is False until the
    database has been filled once up to the tip that its first projector found."""

    generation: int
    slot: Slot
    log_id: str | None
    partitions: int
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedStream:
    """A post whose event could not be projected: it and its later events wait. `version` and `position` are those of
    the first commit that was left out; `code` is the error's code, `reason` its sentence.
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
    """What a batch may read and write."""

    posts: Sequence[PostId]
    comments: Sequence[CommentKey]


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database holds of it. What is not there has no entry."""

    posts: Mapping[PostId, PostRow]
    comments: Mapping[CommentKey, CommentRow]
    parked: Mapping[PostId, ParkedStream]


@dataclass(frozen=True, slots=True)
class RowChanges:
    """What a fold wants written. `cleared` are posts all of whose comments go; written before `comments` are. `deleted`
    are rows of posts that the log does not know: only a repair has any."""

    posts: Sequence[PostRow] = ()
    comments: Sequence[CommentRow] = ()
    comments_removed: Sequence[CommentKey] = ()
    cleared: Sequence[PostId] = ()
    parked: Sequence[ParkedStream] = ()
    unparked: Sequence[PostId] = ()
    deleted: Sequence[PostId] = ()


@dataclass(frozen=True, slots=True)
class CheckpointMove:
    """`before` is what the caller believes is stored (None: no row yet); `after` replaces it."""

    before: Checkpoint | None
    after: Checkpoint


Fold = Callable[[Rows], RowChanges]
"""Pure, synchronous; may be run in another thread, and again if the transaction is repeated. What it raises rolls the
transaction back and comes out of `project` as it is."""


@dataclass(frozen=True, slots=True)
class ProjectionBatch:
    """Without moves, every checkpoint of the generation is locked and none is checked or moved: for repairs.

    `partitions` is the number of partitions by which the caller divides the posts (None: it does not): what a
    checkpoint claims depends on it.
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
        """Tells this read database from every other one, also from a copy of it elsewhere, whatever address leads to
        it: letters and digits. Raises `ReadDbUnavailable`."""
        ...

    async def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        """By partition. Raises `ReadDbUnavailable`."""
        ...

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        """One transaction: lock the checkpoints, read what is touched, fold, write, move the checkpoints.

        It locks before it reads, so what the fold sees is what it replaces. A move whose `before` equals its `after`
        locks and checks and leaves the row as it is. Raises `CheckpointMoved` when the generation is not live, has
        another number of partitions, or a checkpoint is not at its `before`; nothing is written then. Transient
        failures are repeated inside; a server that is away is `ReadDbUnavailable`.
        """
        ...

    async def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        """Note in the live row whose log this is and how many partitions it has; answers the row as it then is. A log
        id that is already there is not replaced: the caller compares. Where the number of partitions changes, the
        checkpoints are made anew in the same transaction: each new one at the lowest old position (0 when one was
        missing), with that one's commit, without topic and offset. Raises `CheckpointMoved` when another generation
        is live.
        """
        ...

    async def mark_ready(self, generation: int) -> None:
        """From now on readers are answered. Raises `CheckpointMoved` when another generation is live."""
        ...


class ParkedStreams(Protocol):
    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        """Of the live generation, by post id, those above `after`. Raises `ReadDbUnavailable`."""
        ...

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        """Of the live generation. Raises `ReadDbUnavailable`."""
        ...
