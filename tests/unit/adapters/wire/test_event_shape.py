"""The stored form of an event's fields: every type that a field may have."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from adapters.wire.commit_json import events_from_json, events_to_json
from adapters.wire.event_shape import WrongShape, readable_decoder, shape_of
from application.envelopes import StoredEvent
from domain.event_types import EventType
from domain.ids import CommentId
from tools.catalogue.json_schema import schema_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """An event with a field of every type."""

    text: str
    text_or_null: str | None
    comment_id: CommentId
    at: datetime
    at_or_null: datetime | None
    count: int
    count_or_null: int | None
    flag: bool
    flag_or_null: bool | None
    tags: tuple[str, ...]


TYPE = EventType("Everything", 1, Everything)  # type: ignore[arg-type]  # no event of this domain
SHAPE = shape_of(TYPE)
DECODE_READABLE = readable_decoder([SHAPE])
VALIDATOR = jsonschema_rs.Draft202012Validator(schema_of(TYPE, "1.0.0"), validate_formats=True)
NOON = datetime(2026, 11, 23, 12, 0, 0, 123_000, UTC)

FULL = {
    "text": "日本",
    "textOrNull": "x",
    "commentId": "019b0000-0000-7000-8000-0000000000c1",
    "at": "2026-11-23T12:00:00.123Z",
    "atOrNull": "2026-11-23T12:00:00.123Z",
    "count": 9_223_372_036_854_775_807,
    "countOrNull": -1,
    "flag": True,
    "flagOrNull": False,
    "tags": ["a", "b"],
}
EMPTY = FULL | {"textOrNull": None, "atOrNull": None, "countOrNull": None, "flagOrNull": None, "tags": []}


def test_a_field_of_every_type_is_read() -> None:
    assert SHAPE.decode(FULL) == Everything(  # type: ignore[comparison-overlap]
        text="日本",
        text_or_null="x",
        comment_id=CommentId("019b0000-0000-7000-8000-0000000000c1"),
        at=NOON,
        at_or_null=NOON,
        count=9_223_372_036_854_775_807,
        count_or_null=-1,
        flag=True,
        flag_or_null=False,
        tags=("a", "b"),
    )


@pytest.mark.parametrize("data", [FULL, EMPTY], ids=["full", "empty"])
def test_a_read_event_is_written_unchanged_and_its_text_keeps_it(data: dict[str, Any]) -> None:
    VALIDATOR.validate(data)
    written = SHAPE.encode(SHAPE.decode(data))
    assert written == data
    [from_json] = events_from_json(events_to_json([StoredEvent("Everything", 1, written)]))
    assert SHAPE.encode(SHAPE.decode(from_json.data)) == data
    [readable] = DECODE_READABLE(events_to_json([StoredEvent("Everything", 1, written)]))
    assert type(readable) is SHAPE.readable


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("text", 7, "field text: it is a number, not text"),
        ("textOrNull", True, "field textOrNull: it is true or false, neither text nor null"),
        ("at", "2026-11-23", "field at: it is no RFC 3339 time in UTC that ends with Z"),
        ("atOrNull", 7, "field atOrNull: it is a number, not text"),
        ("count", "7", "field count: it is text, not a whole number"),
        ("count", 7.0, "field count: it is a number, not a whole number"),
        ("count", True, "field count: it is true or false, not a whole number"),
        ("count", 2**63, "field count: it has more than 64 bits"),
        ("countOrNull", [], "field countOrNull: it is a list, not a whole number"),
        ("flag", 1, "field flag: it is a number, not true or false"),
        ("flag", None, "field flag: it is null, not true or false"),
        ("tags", "a", "field tags: it is text, not a list of texts"),
        ("tags", ["a", None], "field tags: it is null, not text"),
    ],
)
def test_a_value_of_another_type_is_named(field: str, value: object, problem: str) -> None:
    with pytest.raises(WrongShape) as caught:
        SHAPE.decode(FULL | {field: value})
    assert str(caught.value) == problem
    with pytest.raises(msgspec.ValidationError):
        DECODE_READABLE(events_to_json([StoredEvent("Everything", 1, FULL | {field: value})]))


def test_the_schema_names_the_types() -> None:
    properties = schema_of(TYPE, "1.0.0")["properties"]
    assert {name: properties[name]["type"] for name in FULL} == {
        "text": "string",
        "textOrNull": ["string", "null"],
        "commentId": "string",
        "at": "string",
        "atOrNull": ["string", "null"],
        "count": "integer",
        "countOrNull": ["integer", "null"],
        "flag": "boolean",
        "flagOrNull": ["boolean", "null"],
        "tags": "array",
    }
