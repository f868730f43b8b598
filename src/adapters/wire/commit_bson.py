"""A commit as one BSON document of MongoDB's collection `commits`:

`{_id: position, streamId, version, commitId, recordedAt, metadata: {…}, types: ["PostLiked", …], events: "[{…}, …]"}`

`_id` is an int64, `recordedAt` a BSON date (milliseconds); `events` is the text of `commit_json`, and `types` repeats
the types in it, for queries and for counting. Postlog 0.1 stored no `types`, and in `events` an array of documents
`{type, schemaVersion, data: {…}}`: `events_of` reads both.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from adapters.wire.commit_json import MalformedCommit, events_from_json, events_to_json
from application.envelopes import AnyStoredEvent, Commit, CommitEvents, ProposedCommit, StoredEvent
from application.errors import LogDamaged
from application.log_order import require_position
from application.ports.commit_log import CommitVisitor

_LENGTH = struct.Struct("<i")
_POSITION = struct.Struct("<5sq")
_INT64_ID = b"\x12_id\x00"

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as the driver's times are
_EPOCH_IN_UTC = _EPOCH.replace(tzinfo=UTC)

CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions()
"""The driver must decode commits with these. Times then have no zone, and are UTC: adding the zone afterwards takes a
third of the time that the driver takes for it. Integers of 64 bits are the driver's own subclass of int: plain ones
from a type registry take the driver as long as the whole document."""

FIELDS_OF_EVENTS = ("streamId", "version", "commitId", "events")
"""The fields that `commit_events_of` needs, beside `_id`."""


def encode_without_position(commit: ProposedCommit) -> bytes:
    """Encoded once, however many positions are tried."""
    return bson.encode(
        {
            "streamId": commit.stream_id,
            "version": commit.version,
            "commitId": commit.commit_id,
            "recordedAt": commit.recorded_at,
            "metadata": commit.metadata,
            "types": [event.type for event in commit.events],
            "events": events_to_json(commit.events).decode(),
        }
    )


def at_position(encoded: bytes, position: int) -> RawBSONDocument:
    """The document to insert: `_id` comes first, then everything that `encode_without_position` wrote."""
    length = _LENGTH.pack(len(encoded) + _POSITION.size)
    return RawBSONDocument(length + _POSITION.pack(_INT64_ID, position) + encoded[_LENGTH.size :])


def commit_from_document(document: Mapping[str, Any]) -> Commit:
    """Raises `LogDamaged` for a document that is not a commit."""
    try:
        commit = Commit(
            position=_integer(document["_id"]),
            stream_id=document["streamId"],
            version=_integer(document["version"]),
            commit_id=document["commitId"],
            recorded_at=_EPOCH_IN_UTC + (document["recordedAt"] - _EPOCH),  # `replace` takes ten times as long
            metadata=document["metadata"],
            events=events_of(document),
        )
    except (KeyError, TypeError, AttributeError, MalformedCommit) as error:
        raise foreign_document(document.get("_id")) from error
    if _is_whole(commit.position, commit.stream_id, commit.version, commit.commit_id):
        return commit
    raise foreign_document(commit.position)


def commit_events_of(documents: Iterable[Mapping[str, Any]]) -> list[CommitEvents]:
    """Raises `LogDamaged` for a document that is not a commit."""
    commits: list[CommitEvents] = []
    for document in documents:
        try:
            position, stream_id, version = document["_id"], document["streamId"], document["version"]
            commit_id, events = document["commitId"], events_of(document)
        except (KeyError, TypeError, MalformedCommit) as error:
            raise foreign_document(document.get("_id")) from error
        if not _is_whole(position, stream_id, version, commit_id):
            raise foreign_document(position)
        commits.append(CommitEvents(int(position), stream_id, int(version), commit_id, events))
    return commits


def documents_in(batch: bytes) -> Iterator[bytes]:
    """Of a raw batch of the driver's."""
    begin = 0
    while begin < len(batch):
        end = begin + _LENGTH.unpack_from(batch, begin)[0]
        yield batch[begin:end]
        begin = end


def visit_documents(documents: Iterable[bytes], after: int, visitor: CommitVisitor) -> None:
    """Whole commits, which follow each other from `after` on. One is decoded at a time, while it is in the processor's
    cache. Raises `LogDamaged`, also for a document that is not a commit."""
    for expected, encoded in enumerate(documents, after + 1):
        document = bson.decode(encoded, CODEC_OPTIONS)
        if _has_text(document):
            position = document["_id"]
            require_position(position, expected)
            if visitor.visit_text(int(position), document["streamId"], int(document["version"]), document["events"]):
                continue
        commit = commit_from_document(document)
        require_position(commit.position, expected)
        visitor.visit(commit)


def _has_text(document: Mapping[str, Any]) -> bool:
    """It is a commit, if the text of its events is one."""
    get = document.get
    return (
        isinstance(get("events"), str)
        and _is_whole(document["_id"], get("streamId"), get("version"), get("commitId"))
        and isinstance(get("recordedAt"), datetime)
        and "metadata" in document
    )


def foreign_document(key: object) -> LogDamaged:
    """For a document of the collection `commits` with this `_id`."""
    return LogDamaged(
        f"MongoDB's collection 'commits' holds a document that is not a commit of Postlog; its _id is {key!r}. Only "
        "Postlog may write there: check the document, keep a copy if you need it, and delete it."
    )


def _is_whole(position: object, stream_id: object, version: object, commit_id: object) -> bool:
    return (
        isinstance(position, int)
        and isinstance(version, int)
        and isinstance(stream_id, str)
        and isinstance(commit_id, str)
    )


def events_of(document: Mapping[str, Any]) -> tuple[AnyStoredEvent, ...]:
    """Raises `MalformedCommit`, `KeyError`, `TypeError`."""
    events = document["events"]
    if isinstance(events, str):
        return events_from_json(events)
    return tuple([StoredEvent(event["type"], event["schemaVersion"], _plain(event["data"])) for event in events])


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, Int64) else value


def _plain(value: Any) -> Any:
    """JSON encoders refuse `Int64`."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else _integer(value)
