"""The table of stored names and schema versions, and their classes. Renaming a class here does not affect the log."""

from dataclasses import dataclass

from domain import events
from domain.events import PostEvent


@dataclass(frozen=True, slots=True)
class EventType:
    """`name` is stored in the log and never changes; `schema_version` is the shape that the current code writes."""

    name: str
    schema_version: int
    event_class: type[PostEvent]


CURRENT: tuple[EventType, ...] = (
    EventType("PostCreated", 1, events.PostCreated),
    EventType("MessageUpdated", 2, events.MessageUpdated),
    EventType("PostLiked", 2, events.PostLiked),
    EventType("PostUnliked", 1, events.PostUnliked),
    EventType("CommentAdded", 1, events.CommentAdded),
    EventType("CommentUpdated", 1, events.CommentUpdated),
    EventType("CommentRemoved", 2, events.CommentRemoved),
    EventType("PostRemoved", 2, events.PostRemoved),
)

BY_CLASS: dict[type[PostEvent], EventType] = {entry.event_class: entry for entry in CURRENT}
BY_NAME_AND_VERSION: dict[tuple[str, int], EventType] = {(entry.name, entry.schema_version): entry for entry in CURRENT}
