"""The schemas of current events, and which changes of one leave stored data behind."""

from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import pytest

from domain.event_types import CURRENT, EventType
from domain.events import MessageUpdated
from tools.catalogue.json_schema import obstacles, schema_of


def test_the_schema_of_a_class() -> None:
    assert schema_of(EventType("MessageUpdated", 2, MessageUpdated), "0.1.0") == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:postlog:event:MessageUpdated:2",
        "title": "MessageUpdated, schema version 2",
        "description": "The author replaced the post's message.",
        "x-since": "0.1.0",
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "username": {"type": ["string", "null"]},
            "editedAt": {
                "type": ["string", "null"],
                "format": "date-time",
                "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d+)?Z$",
            },
        },
        "required": ["message", "username", "editedAt"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("event_type", CURRENT, ids=lambda event_type: event_type.name)
def test_every_schema_is_one_of_the_2020_dialect_and_describes_its_event(event_type: EventType) -> None:
    schema = schema_of(event_type, "0.1.0")
    assert jsonschema_rs.meta.is_valid(schema)
    assert schema["description"].endswith(".")


def test_a_field_of_a_type_that_is_not_stored_is_refused() -> None:
    @dataclass
    class PostRated:
        stars: complex

    with pytest.raises(TypeError, match=r"PostRated\.stars: <class 'complex'> has no stored form"):
        schema_of(EventType("PostRated", 1, PostRated), "0.1.0")


def test_a_class_that_does_more_than_hold_its_fields_is_refused() -> None:
    """Decoding sets the slots and calls nothing."""

    @dataclass(slots=True)
    class PostRated:
        stars: str

        def __post_init__(self) -> None:
            self.stars = self.stars.strip()

    @dataclass
    class PostPraised:
        words: str

    for event_class in (PostRated, PostPraised):
        with pytest.raises(TypeError, match="is no dataclass with slots and without __post_init__"):
            schema_of(EventType(event_class.__name__, 1, event_class), "0.1.0")


TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}
TIME = {"type": "string", "format": "date-time", "pattern": "Z$"}
UUID = {"type": "string", "format": "uuid"}


def schema(**fields: Any) -> dict[str, Any]:
    return {"properties": fields, "required": list(fields)}


@pytest.mark.parametrize(
    ("stored", "current", "clauses"),
    [
        (schema(a=TEXT), schema(a=TEXT), []),
        (schema(a=TEXT, b=TIME), schema(b=TIME, a=TEXT), []),
        (schema(a=TEXT), schema(a=TEXT_OR_NULL), []),
        (schema(a=UUID), schema(a=TEXT), []),
        (schema(a=TIME), schema(a=TEXT_OR_NULL), []),
        (schema(a=TEXT), schema(a=TEXT, b=TEXT), ["field b was added"]),
        (schema(a=TEXT), schema(a=TEXT, b=TEXT_OR_NULL), ["field b was added"]),
        (schema(a=TEXT, b=TEXT), schema(a=TEXT), ["field b is gone"]),
        (schema(a=TEXT), schema(b=TEXT), ["field b was added", "field a is gone"]),
        (schema(a=TEXT_OR_NULL), schema(a=TEXT), ["field a no longer allows null"]),
        (schema(a=TEXT), schema(a={"type": "integer"}), ["field a no longer allows string"]),
        (schema(a=TEXT), schema(a=TIME), ["field a must be a date-time now"]),
        (schema(a=UUID), schema(a=TIME), ["field a must be a date-time now"]),
        (schema(a=TEXT), schema(a={**TEXT, "pattern": "x"}), ["field a must match a pattern now"]),
        (schema(a=TEXT), schema(a={**TEXT, "maxLength": 9}), ["field a changed its maxLength"]),
        ({"properties": {"a": TEXT}, "required": []}, schema(a=TEXT), ["field a is required now"]),
    ],
)
def test_what_stands_in_the_way_of_stored_data(
    stored: dict[str, Any], current: dict[str, Any], clauses: list[str]
) -> None:
    assert obstacles(stored, current) == clauses
