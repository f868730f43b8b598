"""The parts of a commit as JSON text, for stores that keep text: `[{"type", "schemaVersion", "data"}, …]` and the
metadata as one object. Integers of any size come back exactly; the order of fields stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from application.envelopes import StoredEvent


class MalformedCommit(ValueError):
    """The text is not what this module wrote."""


class _WireEvent(msgspec.Struct, rename="camel", frozen=True, gc=False):
    type: str
    schema_version: int
    data: dict[str, Any]


_TO_JSON = msgspec.json.Encoder()
_EVENTS = msgspec.json.Decoder(list[_WireEvent])
_METADATA = msgspec.json.Decoder(dict[str, str])


def events_to_json(events: Sequence[StoredEvent]) -> bytes:
    """UTF-8."""
    return _TO_JSON.encode([_WireEvent(event.type, event.schema_version, dict(event.data)) for event in events])


def events_from_json(text: str | bytes) -> tuple[StoredEvent, ...]:
    """Raises `MalformedCommit`."""
    try:
        return tuple([StoredEvent(event.type, event.schema_version, event.data) for event in _EVENTS.decode(text)])
    except msgspec.DecodeError as error:
        raise MalformedCommit(f"the events are not a JSON array of events: {error}") from error


def metadata_to_json(metadata: Mapping[str, str]) -> bytes:
    """UTF-8."""
    return _TO_JSON.encode(dict(metadata))


def metadata_from_json(text: str | bytes) -> dict[str, str]:
    """Raises `MalformedCommit`."""
    try:
        return _METADATA.decode(text)
    except msgspec.DecodeError as error:
        raise MalformedCommit(f"the metadata are not a JSON object of texts: {error}") from error
