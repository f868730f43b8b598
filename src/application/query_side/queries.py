"""What readers can ask, and what they are answered. `min_position` is read-your-writes: rows at least that new, or an
error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from application.mediator import Query
from application.ports.post_views import CommentKeyset, PostFilter, PostKey
from application.rows import CommentRow, PostRow
from domain.ids import PostId


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAnswer:
    """A live post with the newest 100 of its comments, newest first."""

    post: PostRow
    comments: Sequence[CommentRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostsPage:
    """`next` is None on the last page. `parked` posts may be missing or old in it."""

    posts: Sequence[PostRow]
    next: PostKey | None
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentsPage:
    comments: Sequence[CommentRow]
    next: CommentKeyset | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """An event for people: `data` in the current shape, plain JSON data."""

    type: str
    schema_version: int
    stored_type: str
    stored_schema_version: int
    version: int
    position: int
    recorded_at: datetime
    actor: str | None
    correlation_id: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Oldest first. `next_after` is the version to go on from, None at the end."""

    events: Sequence[PastEvent]
    next_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLag:
    partition: int
    position: int
    lag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDbStatus:
    """`lag` is how many commits of the log the rows are behind."""

    adapter: str
    generation: int
    ready: bool
    position: int
    lag: int
    parked: int
    partitions: Sequence[PartitionLag]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetPost(Query[PostAnswer]):
    """Raises `PostNotFound` for an unknown or removed post, `NotYetVisible`, `PositionBeyondLog`, `PostParked`,
    `ReadDbNotReady`."""

    post_id: PostId
    min_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPosts(Query[PostsPage]):
    """Newest first. Raises `NotYetVisible`, `PositionBeyondLog`, `ReadDbNotReady`."""

    wanted: PostFilter
    limit: int
    after: PostKey | None = None
    min_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListComments(Query[CommentsPage]):
    """Newest first. Raises as `GetPost`."""

    post_id: PostId
    limit: int
    after: CommentKeyset | None = None
    min_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetPostAsOf(Query[PostAnswer]):
    """The post as it was after `version`, or at the time `at` (exactly one is given), computed from the log. A version
    inside a commit counts too. Raises `PostNotFound` when it did not exist then or was removed, `EventNotReadable`."""

    post_id: PostId
    version: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEvents(Query[HistoryPage]):
    """A removed post's history stays readable. Raises `PostNotFound` when the stream has no event."""

    post_id: PostId
    limit: int
    after: int = 0


@dataclass(frozen=True, slots=True)
class CountEvents(Query[int]):
    """How many events stand behind a post in the log, a removed one too: the version of its last. Raises
    `PostNotFound` when there is none."""

    post_id: PostId


@dataclass(frozen=True, slots=True)
class GetReadDbStatus(Query[ReadDbStatus]):
    """Where the read database stands against the log."""
