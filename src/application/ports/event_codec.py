"""Stored form <-> domain events: the one decode path that every reader shares."""

from collections.abc import Sequence
from typing import Protocol

from application.envelopes import AnyCommit, Commit, DescribedEvent, StoredEvent, VersionedEvent
from domain.events import PostEvent


class EventCodec(Protocol):
    def encode(self, events: Sequence[PostEvent]) -> tuple[StoredEvent, ...]:
        """In today's shape. Raises `CommitTooLarge` above 1,000 events or 1 MB."""
        ...

    def decode(self, commit: AnyCommit) -> list[VersionedEvent]:
        """Upcast and typed. May be empty, when every event was dropped by an upcaster. Raises `EventNotReadable` when
        any event of the commit has an unknown type, a newer schema version or data of another shape.
        """
        ...

    def describe(self, commit: Commit) -> list[DescribedEvent]:
        """The same events as plain data in their current shape, for people. An event that can't be read is shown as it
        was stored.
        """
        ...
