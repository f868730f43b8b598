"""Data of every stored shape, drawn from the committed schemas (Hypothesis)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from application.envelopes import StoredEvent
from domain.upcasting import EventKey
from tools.catalogue.json_schema import Schema
from tools.catalogue.stored_shapes import StoredShapes

SHAPES = StoredShapes.read(Path(__file__).parents[1])

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_digits = st.text("0123456789", max_size=9)
_times = st.builds(
    lambda time, digits: f"{time.replace(microsecond=0).isoformat()}{'.' + digits if digits else ''}Z",
    st.datetimes(),
    _digits,
)
_OF_FORMAT: dict[str | None, st.SearchStrategy[str]] = {None: _texts, "uuid": st.uuids().map(str), "date-time": _times}

Texts = Mapping[str, st.SearchStrategy[str]]


def stored_events(keys: Iterable[EventKey], **texts: st.SearchStrategy[str]) -> st.SearchStrategy[StoredEvent]:
    """Events of these shapes; `texts` are drawn from in fields of that name, in place of any text."""
    return st.one_of([_event(key, texts) for key in keys])


def _event(key: EventKey, texts: Texts) -> st.SearchStrategy[StoredEvent]:
    return _data_of(SHAPES.schemas[key], texts).map(lambda data: StoredEvent(*key, data))


def _data_of(schema: Schema, texts: Texts) -> st.SearchStrategy[dict[str, Any]]:
    """Refuses what it does not know, so that no keyword is passed over."""
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    properties = {name: _value_of(field, texts.get(name)) for name, field in schema["properties"].items()}
    optional = {name: value for name, value in properties.items() if name not in schema["required"]}
    required = {name: value for name, value in properties.items() if name in schema["required"]}
    return st.fixed_dictionaries(required, optional=optional)


def _value_of(field: Schema, texts: st.SearchStrategy[str] | None) -> st.SearchStrategy[Any]:
    assert field.keys() <= {"type", "format", "pattern", "items"}
    kinds = [field["type"]] if isinstance(field["type"], str) else field["type"]
    drawn = {
        "string": _OF_FORMAT[field.get("format")] if texts is None else texts,
        "null": st.none(),
        "integer": st.integers(-(2**63), 2**63 - 1),
        "boolean": st.booleans(),
        "array": st.lists(_texts, max_size=3),
    }
    return st.one_of([drawn[kind] for kind in kinds])
