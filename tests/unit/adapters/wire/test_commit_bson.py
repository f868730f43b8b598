"""Documents of MongoDB's collection `commits`, as this version and Postlog 0.1 wrote them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.int64 import Int64
from bson.json_util import RELAXED_JSON_OPTIONS, loads

from adapters.wire.commit_bson import (
    CODEC_OPTIONS,
    at_position,
    commit_events_of,
    commit_from_document,
    encode_without_position,
)
from adapters.wire.commit_json import json_of
from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import Commit, CommitEvents, ProposedCommit, StoredEvent
from application.errors import LogDamaged
from domain.errors import EventNotReadable
from domain.events import PostEvent
from given import NOON, POST

FIXTURE = Path(__file__).parents[3] / "fixtures/before_0_2/distributed/log.ndjson"

COMMIT = ProposedCommit(
    stream_id=POST,
    version=2**40,
    commit_id="019b0000-0000-7000-8000-0000000000ff",
    recorded_at=datetime(2026, 11, 23, 15, 46, 58, 123_000, tzinfo=UTC),
    metadata={"actor": "Ann"},
    events=(StoredEvent("PostUnliked", 1, {"username": "Žofie 👋"}), StoredEvent("Counted", 3, {"n": 2**63 - 1})),
)


def written_by_0_1(commit: ProposedCommit, position: int) -> dict[str, Any]:
    return {
        "_id": Int64(position),
        "streamId": commit.stream_id,
        "version": commit.version,
        "commitId": commit.commit_id,
        "recordedAt": commit.recorded_at,
        "metadata": commit.metadata,
        "events": [
            {"type": event.type, "schemaVersion": event.schema_version, "data": event.data} for event in commit.events
        ],
    }


def written_now(commit: ProposedCommit, position: int) -> dict[str, Any]:
    return bson.decode(at_position(encode_without_position(commit), position).raw)


@pytest.mark.parametrize("write", [written_by_0_1, written_now])
def test_a_commit_is_read_as_it_was_written(write: Any) -> None:
    document = bson.encode(write(COMMIT, 9))
    expected = Commit(
        position=9,
        stream_id=COMMIT.stream_id,
        version=COMMIT.version,
        commit_id=COMMIT.commit_id,
        recorded_at=COMMIT.recorded_at,
        metadata=COMMIT.metadata,
        events=COMMIT.events,
    )
    assert commit_from_document(bson.decode(document, CODEC_OPTIONS)) == expected
    [read] = commit_events_of([bson.decode(document, CODEC_OPTIONS)])
    assert read == CommitEvents(9, COMMIT.stream_id, COMMIT.version, COMMIT.commit_id, COMMIT.events)


def outcome(codec: MsgspecEventCodec, commit: Commit) -> list[PostEvent] | str:
    try:
        return codec.decode(commit)
    except EventNotReadable as error:
        return error.message


def test_every_commit_of_the_fixture_of_0_1_reads_like_the_same_one_written_now() -> None:
    lines = [
        loads(line, json_options=RELAXED_JSON_OPTIONS) for line in FIXTURE.read_text(encoding="utf-8").splitlines()
    ]
    documents = [line["document"] for line in lines if line["collection"] == "commits" and "document" in line]
    assert len(documents) > 20
    assert all(isinstance(document["events"], list) for document in documents)
    codec = MsgspecEventCodec()
    for document in documents:
        old = commit_from_document(document)
        new = commit_from_document(bson.decode(bson.encode(written_now(old, old.position)), CODEC_OPTIONS))
        assert new == old
        assert [[event.type, event.schema_version, dict(event.data)] for event in old.events] == [
            list(event.values()) for event in document["events"]
        ]
        assert outcome(codec, new) == outcome(codec, old)


def test_a_value_of_another_bson_type_makes_its_event_unreadable_not_the_log() -> None:
    stored = {"type": "PostUnliked", "schemaVersion": 1, "data": {"username": NOON}}
    document = bson.encode(written_by_0_1(COMMIT, 9) | {"events": [stored]})
    commit = commit_from_document(bson.decode(document, CODEC_OPTIONS))
    with pytest.raises(EventNotReadable, match="field username: it is datetime, not text"):
        MsgspecEventCodec().decode(commit)


@pytest.mark.parametrize("events", ["none", '{"type":"A"}', "[1]", 7, None, [7], [{"type": "A"}]])
def test_other_events_make_it_a_foreign_document(events: Any) -> None:
    document = written_now(COMMIT, 9) | {"events": events}
    with pytest.raises(LogDamaged, match="its _id is 9"):
        commit_from_document(document)
    with pytest.raises(LogDamaged, match="its _id is 9"):
        commit_events_of([document])


def test_integers_of_64_bits_are_plain_ones_in_a_commit_of_either_shape() -> None:
    data = {"number": 2**40, "list": [{"number": 2**41}], "small": 1}
    document = bson.decode(
        bson.encode(
            {
                "_id": Int64(9),
                "streamId": COMMIT.stream_id,
                "version": Int64(7),
                "commitId": COMMIT.commit_id,
                "recordedAt": COMMIT.recorded_at,
                "metadata": {},
                "events": [{"type": "Counted", "schemaVersion": 1, "data": data}],
            }
        ),
        CODEC_OPTIONS,
    )
    commit = commit_from_document(document)
    [event] = commit.events
    assert (type(commit.position), type(commit.version), event.data) == (int, int, data)
    assert bytes(json_of(event)) == b'{"number":1099511627776,"list":[{"number":2199023255552}],"small":1}'
    [read] = commit_events_of([document])
    assert (type(read.position), type(read.version)) == (int, int)
