"""JSON Schema (2020-12) of an event's `data`: generated from the class of a current event, and compared with the
committed schema.
"""

from collections.abc import Mapping
from typing import Any

from adapters.wire.event_shape import shape_of
from domain.event_types import EventType

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SINCE = "x-since"
"""Annotation: the version of Postlog, or the other system, that wrote the first event of this shape."""

Schema = Mapping[str, Any]

_COMPARED = ("type", "format", "pattern")
"""The keywords that narrow a field's values. A schema that uses any other can't be compared."""


def schema_of(event_type: EventType, since: str) -> dict[str, Any]:
    """Raises `TypeError` when the class has a field of a type that has no stored form."""
    fields = shape_of(event_type).fields
    return {
        "$schema": DIALECT,
        "$id": f"urn:postlog:event:{event_type.name}:{event_type.schema_version}",
        "title": f"{event_type.name}, schema version {event_type.schema_version}",
        "description": event_type.event_class.__doc__,
        SINCE: since,
        "type": "object",
        "properties": {name: dict(field) for name, field in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }


def obstacles(stored: Schema, current: Schema) -> list[str]:
    """Why data of the schema `stored` may not fit the schema `current`: a clause for each reason, [] when all of it
    fits."""
    before, now = stored["properties"], current["properties"]
    found = [f"field {name} was added" for name in now if name not in before]
    found += [f"field {name} is gone" for name in before if name not in now]
    for name in [name for name in before if name in now]:
        found += [f"field {name} {clause}" for clause in _narrowed(before[name], now[name])]
    optional = [name for name in before if name not in stored["required"] and name in current["required"]]
    return found + [f"field {name} is required now" for name in optional]


def _narrowed(before: Schema, now: Schema) -> list[str]:
    refused = sorted(_types(before) - _types(now))
    clauses = [f"no longer allows {kind}" for kind in refused]
    unknown = sorted({*before, *now} - {*_COMPARED})
    clauses += [f"changed its {keyword}" for keyword in unknown if before.get(keyword) != now.get(keyword)]
    if any(keyword in now and now[keyword] != before.get(keyword) for keyword in ("format", "pattern")):
        clauses.append(f"must be a {now['format']} now" if "format" in now else "must match a pattern now")
    return clauses


def _types(field: Schema) -> set[str]:
    kinds = field["type"]
    return {kinds} if isinstance(kinds, str) else set(kinds)
