"""The envelopes of events: how an event is stored, in which commit, at which position. Shared by log, bus and readers.

A position is a commit's number in the whole log, a version is an event's number within its stream; both count 1, 2, 3 …
without gaps, and 0 means "before the first". Times are aware, UTC, whole milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from domain.ids import PostId

MAX_EVENTS_PER_COMMIT = 1_000
MAX_BYTES_PER_COMMIT = 1_000_000
"""The size of the events as JSON; a MongoDB document may have 16 MB."""


class AnyStoredEvent(Protocol):
    """As it is stored in the log, unchanged: `data` is plain JSON data, camelCase, in the shape of its schema version.

    What a store or the bus delivers keeps the data as JSON text: `data` decodes it at each access, so that nobody pays
    for it who does not look at it. Two are equal if their types, schema versions and data are.
    """

    @property
    def type(self) -> str: ...

    @property
    def schema_version(self) -> int: ...

    @property
    def data(self) -> Mapping[str, Any]: ...

    @property
    def size(self) -> int:
        """Of the data, about, in bytes."""
        ...


class StoredEvent(NamedTuple):
    """An `AnyStoredEvent` that is given as plain data."""

    type: str
    schema_version: int
    data: Mapping[str, Any]

    @property
    def size(self) -> int:
        return len(repr(self.data))


class ProposedCommit(NamedTuple):
    """What one command proposes to append: 1 to 1,000 events of one stream. `version` is that of the first event.

    `commit_id` is a UUID as lower-case text. `metadata` has `actor`, `correlationId`, `causationId`, `traceparent` and
    `requestDigest`, as far as they are known.
    """

    stream_id: PostId
    version: int
    commit_id: str
    recorded_at: datetime
    metadata: Mapping[str, str]
    events: tuple[AnyStoredEvent, ...]

    @property
    def last_version(self) -> int:
        return self.version + len(self.events) - 1


class Commit(NamedTuple):
    """A commit as it is stored in the log: a `ProposedCommit` at its position."""

    position: int
    stream_id: PostId
    version: int
    commit_id: str
    recorded_at: datetime
    metadata: Mapping[str, str]
    events: tuple[AnyStoredEvent, ...]

    @property
    def last_version(self) -> int:
        return self.version + len(self.events) - 1


class CommitEvents(NamedTuple):
    """The part of a commit that a projection needs. A `Commit` has all these fields."""

    position: int
    stream_id: PostId
    version: int
    commit_id: str
    events: tuple[AnyStoredEvent, ...]

    @property
    def last_version(self) -> int:
        return self.version + len(self.events) - 1


AnyCommit = Commit | CommitEvents


@dataclass(frozen=True, slots=True)
class StreamTail:
    """Where a stream ends: its last version, and the position of the commit that holds it."""

    version: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedEvent:
    """A decoded event for display: as plain data in its current shape, with the type that it was stored as."""

    version: int
    type: str
    schema_version: int
    stored_type: str
    stored_schema_version: int
    data: Mapping[str, Any]
