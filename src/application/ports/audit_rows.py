"""The rows of a read database for the audit, read by SQL of their own that projectors do not use."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from application.rows import CommentKey, CommentRow, PostRow
from domain.ids import PostId


class GenerationGone(Exception):
    """The generation that is being read is not live any more; start again."""


@dataclass(frozen=True, slots=True)
class AuditedPost:
    """A post's row of any status and all its comments, from one consistent read."""

    post: PostRow
    comments: Sequence[CommentRow]


@dataclass(frozen=True, slots=True)
class AuditStart:
    """`position` is the lowest over all partitions. `posts` is the approximate number of posts."""

    generation: int
    position: int
    posts: int


class AuditRows(Protocol):
    """Every method raises `ReadDbUnavailable`; those that name a generation raise `GenerationGone`."""

    async def start(self) -> AuditStart: ...

    async def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        """At most `limit` posts with ids above `after`, by id, each with all its comments. [] at the end."""
        ...

    async def by_ids(self, generation: int, post_ids: Collection[PostId]) -> Sequence[AuditedPost]:
        """The rows of these posts, as far as they exist."""
        ...

    async def parked(self, generation: int) -> frozenset[PostId]:
        """The parked posts."""
        ...

    async def orphans(self, generation: int, limit: int) -> Sequence[CommentKey]:
        """Comments of posts that have no row; at most `limit`."""
        ...
