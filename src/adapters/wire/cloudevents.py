"""Commits and watermarks as CloudEvents messages in binary mode: attributes in headers `ce_…`, an event's data as JSON
in the value, the post's id as the key.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from adapters.wire.commit_json import JsonEvent, json_of
from adapters.wire.times import time_from_text, time_to_ascii
from application.envelopes import Commit
from application.ports.bus import (
    BusMessage,
    CommitEntry,
    EventMessage,
    Publication,
    UnreadableMessage,
    Watermark,
    WatermarkMessage,
)
from domain.ids import PostId

WATERMARK = "postlog.watermark"

_SOURCE_PREFIX = "urn:uuid:"
_METADATA = (("correlationId", "ce_correlationid"), ("traceparent", "ce_traceparent"))
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])

Header = tuple[str, str | bytes | None]
"""As in Kafka's client; every value is written, and expected, as UTF-8 bytes."""


class WireMessage(NamedTuple):
    """`key` and `value` are None in a watermark."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]


def to_messages(publication: Publication) -> Iterator[WireMessage]:
    """One message an event or watermark, in order."""
    common: list[Header] = [
        ("ce_specversion", b"1.0"),
        ("ce_source", f"{_SOURCE_PREFIX}{publication.log_id}".encode()),
        ("ce_partitioncount", b"%d" % publication.partitions),
    ]
    for entry in publication.entries:
        if isinstance(entry, Watermark):
            yield _watermark(entry, common)
        else:
            yield from _events(entry, common)


def _watermark(mark: Watermark, common: list[Header]) -> WireMessage:
    headers = [
        *common,
        ("ce_id", b"watermark:%d:%d" % (mark.partition, mark.position)),
        ("ce_type", WATERMARK.encode()),
        ("ce_position", b"%d" % mark.position),
        ("ce_prevposition", b"%d" % mark.prev_position),
    ]
    return WireMessage(mark.partition, None, None, headers)


def _events(entry: CommitEntry, common: list[Header]) -> Iterator[WireMessage]:
    commit = entry.commit
    key, version, metadata = commit.stream_id.encode(), commit.version, commit.metadata
    of_commit: list[Header] = [
        *common,
        _CONTENT_TYPE,
        ("ce_subject", key),
        ("ce_time", time_to_ascii(commit.recorded_at)),
        ("ce_position", b"%d" % commit.position),
        ("ce_prevposition", b"%d" % entry.prev_position),
        ("ce_commitid", commit.commit_id.encode()),
        _small_number("ce_commitsize", len(commit.events)),
    ]
    for name, header in _METADATA:
        if name in metadata:
            of_commit.append((header, metadata[name].encode()))
    for index, event in enumerate(commit.events):
        headers = [
            *of_commit,
            ("ce_id", b"%b:%d" % (key, version + index)),
            _type(event.type),
            ("ce_streamversion", b"%d" % (version + index)),
            _small_number("ce_schemaversion", event.schema_version),
            _small_number("ce_commitindex", index),
        ]
        yield WireMessage(entry.partition, key, bytes(json_of(event)), headers)


# Headers that many messages share are made once.

_CONTENT_TYPE = ("content-type", b"application/json")


@lru_cache(maxsize=1_000)
def _small_number(name: str, value: int) -> Header:
    return name, b"%d" % value


@lru_cache(maxsize=1_000)
def _type(event_type: str) -> Header:
    return "ce_type", event_type.encode()


def from_message(
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header] | None,
) -> BusMessage:
    """The content of the message; an `UnreadableMessage` has the reason why it can't be read."""
    attributes = dict(headers or ())
    try:
        if _text(attributes, "ce_type") == WATERMARK:
            return _read_watermark(partition, offset, attributes)
        return _read_event(partition, offset, key, value, attributes)
    except ValueError as error:
        log_id, position = _as_far_as_readable(attributes)
        return UnreadableMessage(partition, offset, log_id, position, str(error))


Attributes = Mapping[str, str | bytes | None]


def _read_watermark(partition: int, offset: int, attributes: Attributes) -> WatermarkMessage:
    prev_position = _number(attributes, "ce_prevposition", 0)
    return WatermarkMessage(
        partition,
        offset,
        _log_id(attributes),
        _number(attributes, "ce_partitioncount", 1),
        prev_position,
        _number(attributes, "ce_position", prev_position),
    )


def _read_event(
    partition: int, offset: int, key: bytes | None, value: bytes | None, attributes: Attributes
) -> EventMessage:
    prev_position = _number(attributes, "ce_prevposition", 0)
    position = _number(attributes, "ce_position", prev_position + 1)
    index = _number(attributes, "ce_commitindex", 0)
    return EventMessage(
        partition,
        offset,
        _log_id(attributes),
        _number(attributes, "ce_partitioncount", 1),
        prev_position,
        position,
        index,
        _number(attributes, "ce_commitsize", index + 1),
        Commit(
            position=position,
            stream_id=_stream_id(key, attributes),
            version=_number(attributes, "ce_streamversion", index + 1) - index,
            commit_id=_text(attributes, "ce_commitid"),
            recorded_at=time_from_text(_text(attributes, "ce_time")),
            metadata={name: _text(attributes, header) for name, header in _METADATA if header in attributes},
            events=(_event(value, attributes),),
        ),
    )


def _event(value: bytes | None, attributes: Attributes) -> JsonEvent:
    json = value or b""
    try:
        _OBJECT.decode(json)
    except msgspec.DecodeError as error:
        raise ValueError(f"the value is not a JSON object: {error}") from error
    return JsonEvent(_text(attributes, "ce_type"), _number(attributes, "ce_schemaversion", 0), msgspec.Raw(json))


def _stream_id(key: bytes | None, attributes: Attributes) -> PostId:
    subject = _text(attributes, "ce_subject")
    if key != attributes["ce_subject"]:
        raise ValueError("the key is not the ce_subject")
    return PostId(subject)


def _log_id(attributes: Attributes) -> str:
    return _log_of(_text(attributes, "ce_source"))


@lru_cache(maxsize=10)
def _log_of(source: str) -> str:
    """One text for all messages of a log."""
    if not source.startswith(_SOURCE_PREFIX):
        raise ValueError(f"the header ce_source does not begin with {_SOURCE_PREFIX}")
    return source[len(_SOURCE_PREFIX) :]


def _as_far_as_readable(attributes: Attributes) -> tuple[str | None, int | None]:
    try:
        return _log_id(attributes), _number(attributes, "ce_position", 1)
    except ValueError:
        return None, None


def _text(attributes: Attributes, name: str) -> str:
    value = attributes.get(name)
    if not isinstance(value, bytes):
        raise ValueError(f"the header {name} is missing")
    return value.decode()


def _number(attributes: Attributes, name: str, least: int) -> int:
    """At most 18 digits, so that every store can hold it."""
    text = attributes.get(name)
    if isinstance(text, bytes) and len(text) <= 18 and text.isdigit() and (number := int(text)) >= least:
        return number
    raise ValueError(f"the header {name} is not a whole number from {least} on")
