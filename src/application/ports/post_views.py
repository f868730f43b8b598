"""Rows for queries: each result is one consistent read of the live slot, stamped with its position."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from application.rows import CommentRow, PostRow
from domain.ids import CommentId, PostId

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """How fresh the rows are. `position` is that of the partition of the requested post, or the lowest over all
    partitions where the request names no post: every commit of those posts up to it is in the rows. `parked` counts the
    parked streams of the live generation; `post_parked_at` is the position from which on the requested post is parked
    (None: it is not).
    """

    generation: int
    ready: bool
    position: int
    parked: int
    post_parked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Stamped(Generic[T]):
    stamp: Stamp
    value: T


@dataclass(frozen=True, slots=True)
class PostWithComments:
    """A live post and the newest 100 of its comments, newest first; both at the same version."""

    post: PostRow
    comments: Sequence[CommentRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostFilter:
    """None: any. `author` is compared by `name_key`. `min_likes` counts anonymous likes, too; `has_comments` ignores
    removed comments.
    """

    author: str | None = None
    has_comments: bool | None = None
    min_likes: int | None = None


@dataclass(frozen=True, slots=True)
class PostKey:
    """Where a page of posts ends: newest first by date, then by id, both descending."""

    date_posted: datetime
    post_id: PostId


@dataclass(frozen=True, slots=True)
class CommentKeyset:
    """Where a page of comments ends: newest first by date, then by id, both descending."""

    comment_date: datetime
    comment_id: CommentId


class PostViews(Protocol):
    """Returns only posts of status LIVE. Every method raises `ReadDbUnavailable`."""

    async def post(self, post_id: PostId) -> Stamped[PostWithComments | None]: ...

    async def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        """At most `limit` posts after `after`, in the order of `PostKey`."""
        ...

    async def comments(
        self, post_id: PostId, limit: int, after: CommentKeyset | None
    ) -> Stamped[list[CommentRow] | None]:
        """At most `limit` comments of a live post after `after`; None if there is no such live post."""
        ...

    async def stamp(self) -> Stamp:
        """The stamp alone."""
        ...
