"""The rows of a read database as they are, for the audit: read by SQL of its own, which projectors have no part in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from application.rows import CommentKey, CommentRow, PostRow
from domain.ids import PostId


class GenerationGone(Exception):
    """Another generation is live than the one that is being read; begin again."""


@dataclass(frozen=True, slots=True)
class AuditedPost:
    """A post's row of whatever status and all its comments, of one moment."""

    post: PostRow
    comments: Sequence[CommentRow]


@dataclass(frozen=True, slots=True)
class AuditStart:
    """`position` is the database's: the lowest over all partitions. `posts` is about how many rows there are."""

    generation: int
    position: int
    posts: int


class AuditRows(Protocol):
    """Every method raises `ReadDbUnavailable`; those that name a generation raise `GenerationGone`."""

    async def start(self) -> AuditStart: ...

    async def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        """At most `limit` posts above `after`, by id, each with all its comments. [] at the end."""
        ...

    async def by_ids(self, generation: int, post_ids: Collection[PostId]) -> Sequence[AuditedPost]:
        """Those of these posts that have a row."""
        ...

    async def parked(self, generation: int) -> frozenset[PostId]:
        """The posts that wait."""
        ...

    async def orphans(self, generation: int, limit: int) -> Sequence[CommentKey]:
        """Comments of posts that have no row at all; at most `limit`."""
        ...
