"""Schemas of the JSON that comes in and goes out, taken from the types that decode and encode it."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import schema_components

from domain.limits import Limits

# What Python's str.strip() takes away, which is more than \s means elsewhere; and NUL, which no text may hold.
_BLANK = r"\s\u0000\u001c-\u001f\u0085"
_NAME_PATTERN = rf"^[^{_BLANK}]([^\u0000]*[^{_BLANK}])?$"
_TEXT_PATTERN = rf"^[^\u0000]*[^{_BLANK}][^\u0000]*$"

Schema = dict[str, Any]


def ref(shape: type[Struct]) -> Schema:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def schemas_of(shapes: Sequence[type[Struct]], limits: Limits) -> dict[str, Schema]:
    _, components = schema_components(shapes, ref_template="#/components/schemas/{name}")
    limited: dict[str, Schema] = with_limits(components, limits)
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
