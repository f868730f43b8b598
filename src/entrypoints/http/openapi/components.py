"""Schemas of the JSON that comes in and goes out, taken from the types that decode and encode it."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import schema_components

from domain.limits import Limits

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
