"""Schemas of the JSON that comes in and goes out, taken from the types that decode and encode it."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_type_hints

from msgspec import Struct
from msgspec.json import schema_components

from domain.event_types import CURRENT, EventType
from domain.ids import CommentId
from domain.limits import Limits
from entrypoints.http.schemas import Event

# As `domain.names` has it, but for code points beyond U+FFFF, which not every dialect of patterns can write.
_HIDDEN = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    r"\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
)
_BLANK = rf"\s{_HIDDEN}\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f"
_NAME_PATTERN = rf"^[^\s{_HIDDEN}]([^{_HIDDEN}]*[^\s{_HIDDEN}])?$"
_TEXT_PATTERN = rf"^[^\u0000]*[^{_BLANK}][^\u0000]*$"

Schema = dict[str, Any]


def ref(shape: type[Struct]) -> Schema:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def schemas_of(shapes: Sequence[type[Struct]], limits: Limits) -> dict[str, Schema]:
    _, components = schema_components(shapes, ref_template="#/components/schemas/{name}")
    limited: dict[str, Schema] = with_limits(components, limits)
    if Event.__name__ in limited:
        limited |= _events(limited[Event.__name__])
    return limited


def with_limits(schema: Any, limits: Limits) -> Any:
    """`schema` with what the limits say in place of `x-limit`."""
    if isinstance(schema, list):
        return [with_limits(part, limits) for part in schema]
    if not isinstance(schema, dict):
        return schema
    named = {key: with_limits(part, limits) for key, part in schema.items() if key != "x-limit"}
    return named | _text_rules(schema["x-limit"], limits) if "x-limit" in schema else named


def _text_rules(limit: str, limits: Limits) -> Schema:
    longest = {"name": limits.name, "message": limits.message, "comment": limits.comment}[limit]
    pattern = _NAME_PATTERN if limit == "name" else _TEXT_PATTERN
    return {"minLength": 1, "maxLength": longest, "pattern": pattern}


def _events(event: Schema) -> dict[str, Schema]:
    """The component of an event, as one of those that there are, told apart by `type`: each with data of its own.
    `event` is what all have in common."""
    described = {f"{each.name}Event": _event(each, event) for each in CURRENT}
    references = {each.name: f"#/components/schemas/{each.name}Event" for each in CURRENT}
    either = {
        "title": Event.__name__,
        "description": event["description"],
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }
    data = {f"{each.name}Data": _data(each) for each in CURRENT}
    return {Event.__name__: either, **described, **data}


def _event(event_type: EventType, event: Schema) -> Schema:
    own = {
        "type": {"type": "string", "const": event_type.name},
        "data": {"$ref": f"#/components/schemas/{event_type.name}Data"},
    }
    return event | {"title": f"{event_type.name}Event", "properties": event["properties"] | own}


def _data(event_type: EventType) -> Schema:
    """Fields in camelCase; all of them are always there."""
    hints = get_type_hints(event_type.event_class)
    properties = {_camel_case(field.name): _value(hints[field.name]) for field in fields(event_type.event_class)}
    return {
        "title": f"{event_type.name}Data",
        "description": event_type.event_class.__doc__,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _value(hint: Any) -> Schema:
    options = get_args(hint) or (hint,)
    [kind] = [option for option in options if option is not NoneType]
    schema: Schema = {"type": ["string", "null"] if NoneType in options else "string"}
    if kind is datetime:
        schema["format"] = "date-time"
    elif kind is CommentId:
        schema["format"] = "uuid"
    elif kind is not str:
        raise TypeError(f"no schema for a field of type {kind}")
    return schema


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
