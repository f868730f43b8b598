"""The events of the .NET course's system, in its own store: one document per event, and no unique key, so that two
events may have the same version.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from application.envelopes import AnyStoredEvent
from domain.ids import PostId


@dataclass(frozen=True, slots=True, kw_only=True)
class DotnetEvent:
    """`version` counts from 1, as in Postlog; in the document it counts from 0. `recorded_at` is the document's
    `TimeStamp`. `event` is in the shape of schema version 1, or None if `problem` says in a clause what is wrong with
    it. If only the post's id can be read, `version` is 0 or `recorded_at` is None, and there is a problem.
    """

    document_id: str
    post_id: PostId
    version: int
    recorded_at: datetime | None
    event: AnyStoredEvent | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class UnrecognizedDocument:
    """A document whose post can't be determined. `problem` is a clause."""

    document_id: str
    problem: str


class DotnetHistory(Protocol):
    """The source is read once; all other methods use what was read then. Memory is bounded."""

    async def count(self) -> int:
        """The approximate number of documents. Raises `Unavailable`."""
        ...

    def read(self) -> AsyncIterator[tuple[int, Sequence[UnrecognizedDocument]]]:
        """Read all documents. Yields after each page how many are read so far, and the page's unrecognized ones. Raises
        `Unavailable`.
        """
        ...

    def by_post(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        """All events in pages, by post, version, time (None first), document. A page may end anywhere."""
        ...

    def in_order(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        """The events that were not skipped, in pages, by the time at which they were recorded, but the events of one
        post always by version.
        """
        ...

    async def skip_post(self, post_id: PostId) -> None:
        """Leave the post out, also from pages of `in_order` that are not yet read."""
        ...

    async def skip_event(self, document_id: str) -> None: ...

    async def remaining_events(self) -> int:
        """How many events `in_order` yields."""
        ...
