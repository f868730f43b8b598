"""The parts of a commit as JSON text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.commit_json import (
    MalformedCommit,
    events_from_json,
    events_to_json,
    metadata_from_json,
    metadata_to_json,
)
from application.envelopes import StoredEvent

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
stored_events = st.builds(StoredEvent, texts, st.integers(0, 99), st.dictionaries(texts, values, max_size=4))


@given(st.lists(stored_events, max_size=4))
def test_events_come_back_as_they_were(events: list[StoredEvent]) -> None:
    read = events_from_json(events_to_json(events))
    assert repr([StoredEvent(event.type, event.schema_version, event.data) for event in read]) == repr(events)
    assert read == tuple(events)


@given(st.dictionaries(texts, texts))
def test_metadata_come_back_as_they_were(metadata: dict[str, str]) -> None:
    assert metadata_from_json(metadata_to_json(metadata)) == metadata


def test_the_json_is_compact_and_keeps_every_script_readable() -> None:
    events = [StoredEvent("PostCreated", 1, {"message": "Žofie 👋", "username": None})]
    assert events_to_json(events).decode() == (
        '[{"type":"PostCreated","schemaVersion":1,"data":{"message":"Žofie 👋","username":null}}]'
    )


@pytest.mark.parametrize(
    "text",
    ["", "not JSON", "{}", '[{"type": "A"}]', '[{"type": "A", "schemaVersion": "1", "data": {}}]', "[1]", b"\xff"],
)
def test_text_that_is_not_an_array_of_events_is_refused(text: Any) -> None:
    with pytest.raises(MalformedCommit, match="the events are not a JSON array of events"):
        events_from_json(text)


@pytest.mark.parametrize("text", ["", "[]", '{"actor": 1}', b"\xff"])
def test_text_that_is_not_an_object_of_texts_is_refused(text: Any) -> None:
    with pytest.raises(MalformedCommit, match="the metadata are not a JSON object of texts"):
        metadata_from_json(text)
