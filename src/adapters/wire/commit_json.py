"""The events of a commit as one JSON text, `[{"type", "schemaVersion", "data"}, …]`, which every store keeps; and, for
stores that keep text, the metadata as one object. Integers of any size come back exactly; the order of fields stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from application.envelopes import AnyStoredEvent


class MalformedCommit(ValueError):
    """The text is not what this module wrote."""


class JsonEvent(msgspec.Struct, rename="camel", frozen=True, eq=False, gc=False):
    """An `AnyStoredEvent` whose `json` is the text of its data. A view into the text of the commit, which it keeps."""

    type: str
    schema_version: int
    json: msgspec.Raw = msgspec.field(name="data")

    @classmethod
    def of(cls, event: AnyStoredEvent) -> "JsonEvent":
        return event if isinstance(event, cls) else cls(event.type, event.schema_version, json_of(event))

    @property
    def size(self) -> int:
        """Of the data, in bytes."""
        return memoryview(self.json).nbytes

    @property
    def data(self) -> Any:
        """Not an object if somebody damaged the log; the text itself if it can't be decoded: bytes that are not UTF-8,
        a number out of range."""
        try:
            return _ANYTHING.decode(self.json)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return bytes(self.json).decode(errors="replace")

    def __eq__(self, other: object) -> bool:
        try:
            return _content(self) == _content(other)
        except AttributeError:
            return NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _content(event: Any) -> tuple[object, ...]:
    return event.type, event.schema_version, event.data


_TO_JSON = msgspec.json.Encoder()
_ANYTHING = msgspec.json.Decoder()
_EVENTS = msgspec.json.Decoder(tuple[JsonEvent, ...])
_METADATA = msgspec.json.Decoder(dict[str, str])


def to_json(data: object) -> msgspec.Raw:
    """UTF-8."""
    return msgspec.Raw(_TO_JSON.encode(data))


def json_of(event: AnyStoredEvent) -> msgspec.Raw:
    """The text of its data, UTF-8."""
    return event.json if isinstance(event, JsonEvent) else to_json(event.data)


def events_to_json(events: Sequence[AnyStoredEvent]) -> bytes:
    """UTF-8."""
    return _TO_JSON.encode([JsonEvent.of(event) for event in events])


def events_from_json(text: str | bytes) -> tuple[JsonEvent, ...]:
    """Raises `MalformedCommit`."""
    try:
        return _EVENTS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedCommit(f"the events are not a JSON array of events: {error}") from error


def metadata_to_json(metadata: Mapping[str, str]) -> bytes:
    """UTF-8."""
    return _TO_JSON.encode(dict(metadata))


def metadata_from_json(text: str | bytes) -> dict[str, str]:
    """Raises `MalformedCommit`."""
    try:
        return _METADATA.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedCommit(f"the metadata are not a JSON object of texts: {error}") from error
