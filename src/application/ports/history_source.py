"""The events of the .NET course's system, in its own store: one document an event, and no key that keeps two events
from having the same version.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from application.envelopes import StoredEvent
from domain.ids import PostId


@dataclass(frozen=True, slots=True, kw_only=True)
class DotnetEvent:
    """`version` counts from 1, as ours do; there it is one less. `recorded_at` is the document's `TimeStamp`. `event`
    is in the shape of schema version 1, or None where `problem` says in a clause what is wrong with it. Where only the
    post can be read, `version` is 0 or `recorded_at` None, and there is a problem.
    """

    document_id: str
    post_id: PostId
    version: int
    recorded_at: datetime | None
    event: StoredEvent | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class UnrecognizedDocument:
    """A document of which can't be said to which post it belongs. `problem` is a clause."""

    document_id: str
    problem: str


class DotnetHistory(Protocol):
    """Read once, as it is at that time; everything else is answered from what was read then. Memory is bounded."""

    async def count(self) -> int:
        """About how many documents there are. Raises `Unavailable`."""
        ...

    def read(self) -> AsyncIterator[tuple[int, Sequence[UnrecognizedDocument]]]:
        """Read all documents; after each page, how many are read, and which of the page are strays. Raises
        `Unavailable`."""
        ...

    def by_post(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        """Pages of all events: by post, version, time (None first), document. A page may end anywhere."""
        ...

    def in_order(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        """Pages of the events that were not left out: by the time at which they were recorded, but those of one post
        always by version."""
        ...

    async def skip_post(self, post_id: PostId) -> None:
        """Also for pages of `in_order` that are still to come."""
        ...

    async def skip_event(self, document_id: str) -> None: ...

    async def remaining_events(self) -> int:
        """How many events `in_order` has."""
        ...
