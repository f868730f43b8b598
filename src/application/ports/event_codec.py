"""Between stored events and domain events: the one decode path, shared by every reader."""

from collections.abc import Sequence
from typing import Protocol

from application.envelopes import AnyCommit, AnyStoredEvent, Commit, DescribedEvent
from domain.events import PostEvent
from domain.upcasting import EventKey


class EventCodec(Protocol):
    def encode(self, events: Sequence[PostEvent]) -> tuple[AnyStoredEvent, ...]:
        """In the current shape. Raises `CommitTooLarge` above 1,000 events or 1 MB."""
        ...

    def decode(self, commit: AnyCommit) -> list[PostEvent]:
        """Upcast and typed. Empty if upcasters dropped every event. Raises `EventNotReadable` if any event of the
        commit has an unknown type, a newer schema version, or data of another shape.
        """
        ...

    def readable_types(self, events: str | bytes) -> Sequence[EventKey]:
        """Types and schema versions of the events of one commit, given as its store's JSON text, if `decode` can read
        all of them; without creating them, so it is several times as fast. [] if that takes a closer look: an event in
        an old shape, one that can't be read, or none at all.
        """
        ...

    def decode_until(self, commit: AnyCommit, version: int) -> list[PostEvent]:
        """As `decode`, without the events that are stored after `version`. Upcasting sees the whole commit."""
        ...

    def describe(self, commit: Commit) -> list[DescribedEvent]:
        """The same events as plain data in their current shape, for display. An unreadable event is returned as it is
        stored.
        """
        ...
