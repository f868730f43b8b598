"""A commit as one BSON document of MongoDB's collection `commits`:

`{_id: position, streamId, version, commitId, recordedAt, metadata: {…}, types: ["PostLiked", …], events: "[{…}, …]"}`

`_id` is an int64, `recordedAt` a BSON date (milliseconds); `events` is the text of `commit_json`, and `types` repeats
the types in it, for queries and for counting. Postlog 0.1 stored no `types`, and in `events` an array of documents
`{type, schemaVersion, data: {…}}`: `events_of` reads both.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

import bson
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from adapters.wire.commit_json import MalformedCommit, events_from_json, events_to_json
from application.envelopes import AnyStoredEvent, Commit, CommitEvents, ProposedCommit, StoredEvent
from application.errors import LogDamaged

_LENGTH = struct.Struct("<i")
_POSITION = struct.Struct("<5sq")
_INT64_ID = b"\x12_id\x00"


class _PlainIntegers(TypeDecoder):
    """The driver's own `Int64` is a subclass of int that JSON encoders refuse."""

    bson_type = Int64

    def transform_bson(self, value: int) -> int:
        return int(value)


CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(type_registry=TypeRegistry([_PlainIntegers()]))
"""The driver must decode with these what `commit_from_document` gets. Times then have no zone, and are UTC: adding the
zone afterwards takes a third of the time that the driver takes for it."""

PLAIN_CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions()
"""For `commit_events_of`: integers beyond 32 bits stay the driver's own type, which saves a third of the time."""

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
            position=document["_id"],
            stream_id=document["streamId"],
            version=document["version"],
            commit_id=document["commitId"],
            recorded_at=document["recordedAt"].replace(tzinfo=UTC),
            metadata=document["metadata"],
            events=events_of(document),
        )
    except (KeyError, TypeError, AttributeError, MalformedCommit) as error:
        raise foreign_document(document.get("_id")) from error
    if _is_whole(commit):
        return commit
    raise foreign_document(commit.position)


def commit_events_of(documents: Iterable[Mapping[str, Any]]) -> list[CommitEvents]:
    """Raises `LogDamaged` for a document that is not a commit."""
    commits: list[CommitEvents] = []
    for document in documents:
        try:
            position, events = document["_id"], events_of(document)
            commit = CommitEvents(
                int(position), document["streamId"], document["version"], document["commitId"], events
            )
        except (KeyError, TypeError, ValueError) as error:
            raise foreign_document(document.get("_id")) from error
        if not isinstance(position, int) or not _is_whole(commit):
            raise foreign_document(position)
        commits.append(commit)
    return commits


def foreign_document(key: object) -> LogDamaged:
    """For a document of the collection `commits` with this `_id`."""
    return LogDamaged(
        f"MongoDB's collection 'commits' holds a document that is not a commit of Postlog; its _id is {key!r}. Only "
        "Postlog may write there: check the document, keep a copy if you need it, and delete it."
    )


def _is_whole(commit: Any) -> bool:
    return (
        isinstance(commit.position, int)
        and isinstance(commit.version, int)
        and isinstance(commit.stream_id, str)
        and isinstance(commit.commit_id, str)
    )


def events_of(document: Mapping[str, Any]) -> tuple[AnyStoredEvent, ...]:
    """Raises `MalformedCommit`, `KeyError`, `TypeError`."""
    events = document["events"]
    if isinstance(events, str):
        return events_from_json(events)
    return tuple([StoredEvent(event["type"], event["schemaVersion"], event["data"]) for event in events])
