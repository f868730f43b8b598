"""Documents of the .NET course's collection `eventStore` as events:

`{_id, TimeStamp, AggregateIdentifier, AggregateType: "PostAggregate", Version, EventType: "PostCreatedEvent",
EventData: {_t: "PostCreatedEvent", _id, Version, Type, Author, Message, DatePosted}}`

Its ids are GUIDs, which that driver writes as binary of subtype 3 in the byte order of C#, or of subtype 4 in standard
order. `Version` counts from 0. All fields of an event must be present, and no others.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from bson.binary import Binary, UuidRepresentation
from bson.decimal128 import Decimal128

from adapters.wire.commit_json import events_to_json
from adapters.wire.times import time_to_text
from application.envelopes import MAX_BYTES_PER_COMMIT, StoredEvent
from application.ports.history_source import DotnetEvent, UnrecognizedDocument
from domain.ids import PostId
from domain.rules import is_storable

AGGREGATE_TYPE = "PostAggregate"
_VERSION_LIMIT = 2**62

Document = Mapping[str, Any]


def dotnet_event(document: Document) -> DotnetEvent | UnrecognizedDocument:
    """A document that can't be read completely still counts for its post, if that can be read: without it the post
    would be a different one."""
    document_id = str(document.get("_id"))
    try:
        post_id = PostId(_guid(document.get("AggregateIdentifier")))
    except ValueError as error:
        problem = f"its AggregateIdentifier {error}"
        other = other_post(document, None)
        if other is None:
            return UnrecognizedDocument(document_id, problem)
        return unreadable(document_id, other, problem)
    version, recorded_at = _whole_number(document.get("Version")), document.get("TimeStamp")
    if version is None:
        return unreadable(document_id, post_id, "its Version is not a whole number from 0 on")
    found: StoredEvent | None = None
    problem_here: str | None = None
    try:
        if not isinstance(recorded_at, datetime):
            raise ValueError("its TimeStamp is not a date of the years 1 to 9999")
        found = _event(document, post_id)
    except ValueError as error:
        problem_here = str(error)
    return DotnetEvent(
        document_id=document_id,
        post_id=post_id,
        version=version + 1,
        recorded_at=recorded_at.astimezone(UTC) if isinstance(recorded_at, datetime) else None,
        event=found,
        problem=problem_here,
    )


def unreadable(document_id: str, post_id: PostId, problem: str) -> DotnetEvent:
    """For a document of which only the post can be read."""
    return DotnetEvent(document_id=document_id, post_id=post_id, version=0, recorded_at=None, problem=problem)


def other_post(document: Document, post_id: PostId | None) -> PostId | None:
    """The post that the document's EventData names, unless that is `post_id` or can't be read."""
    data = document.get("EventData")
    try:
        found = PostId(_guid(data.get("_id"))) if isinstance(data, Mapping) else None
    except ValueError:
        return None
    return None if found == post_id else found


def _whole_number(value: Any) -> int | None:
    """Numbers without a fraction are whole, whatever type they were stored as: a script may store doubles."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool) or not isfinite(value):
        return None
    return int(value) if 0 <= value < _VERSION_LIMIT and value == int(value) else None


def _event(document: Document, post_id: PostId) -> StoredEvent:
    """Raises `ValueError` with a clause."""
    event_type, data = document.get("EventType"), document.get("EventData")
    if document.get("AggregateType") != AGGREGATE_TYPE:
        raise ValueError(f"its AggregateType is {document.get('AggregateType')!r}, not {AGGREGATE_TYPE!r}")
    if not isinstance(event_type, str) or event_type not in _EVENTS:
        raise ValueError(f"its EventType is {event_type!r}, not one of {', '.join(_EVENTS)}")
    if not isinstance(data, Mapping):
        raise ValueError("its EventData is not a document")
    _check_consistency(data, event_type, post_id)
    name, fields = _EVENTS[event_type]
    unknown = [key for key in data if key not in fields and key not in _OF_EVERY_EVENT]
    if unknown:
        raise ValueError(f"its EventData has the unknown field {unknown[0]}")
    stored = StoredEvent(name, 1, {_stored_name(field): _read(data, field, read) for field, read in fields.items()})
    if len(events_to_json([stored])) > MAX_BYTES_PER_COMMIT:
        raise ValueError(f"it takes more than {MAX_BYTES_PER_COMMIT:,} bytes, the limit for one commit")
    return stored


def _check_consistency(data: Document, event_type: str, post_id: PostId) -> None:
    """The driver's discriminator `_t` is a name, or an array that ends with it."""
    discriminator = data.get("_t", event_type)
    names = [discriminator[-1] if isinstance(discriminator, list) and discriminator else discriminator]
    for name in [*names, data.get("Type", event_type)]:
        if name is not None and name != event_type:
            raise ValueError(f"its EventType is {event_type}, but its EventData is a {name}")
    if data.get("_id") is not None and _read(data, "_id", _guid) != post_id:
        raise ValueError("its EventData is of another post than its AggregateIdentifier")


def _read(data: Document, field: str, read: Callable[[Any], str]) -> str:
    if field not in data:
        raise ValueError(f"its EventData has no {field}")
    try:
        return read(data[field])
    except ValueError as error:
        raise ValueError(f"its {field} {error}") from error


def _guid(value: Any) -> str:
    match value:
        case Binary(subtype=3):
            return str(value.as_uuid(UuidRepresentation.CSHARP_LEGACY))
        case Binary(subtype=4):
            return str(value.as_uuid(UuidRepresentation.STANDARD))
        case str():
            try:
                return str(UUID(value))
            except ValueError:
                raise ValueError("is not a GUID") from None
        case _:
            raise ValueError("is not a GUID")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is null, not text" if value is None else "is not text")
    if not is_storable(value):
        raise ValueError("contains a NUL character or an unpaired surrogate, which can't be stored")
    return value


def _time(value: Any) -> str:
    if not isinstance(value, datetime):
        raise ValueError("is not a date of the years 1 to 9999")
    return time_to_text(value)


def _stored_name(field: str) -> str:
    return field[0].lower() + field[1:]


_OF_EVERY_EVENT = frozenset({"_t", "_id", "Version", "Type"})

_EVENTS: dict[str, tuple[str, dict[str, Callable[[Any], str]]]] = {
    "PostCreatedEvent": ("PostCreated", {"Author": _text, "Message": _text, "DatePosted": _time}),
    "MessageUpdatedEvent": ("MessageUpdated", {"Message": _text}),
    "PostLikedEvent": ("PostLiked", {}),
    "CommentAddedEvent": (
        "CommentAdded",
        {"CommentId": _guid, "Comment": _text, "Username": _text, "CommentDate": _time},
    ),
    "CommentUpdatedEvent": (
        "CommentUpdated",
        {"CommentId": _guid, "Comment": _text, "Username": _text, "EditDate": _time},
    ),
    "CommentRemovedEvent": ("CommentRemoved", {"CommentId": _guid}),
    "PostRemovedEvent": ("PostRemoved", {}),
}
