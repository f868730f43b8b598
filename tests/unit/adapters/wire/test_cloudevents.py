"""Messages on the bus are CloudEvents in binary mode, and come back as what was published."""

import json
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.kafka import KafkaMessage, from_binary
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.cloudevents import WireMessage, from_message, to_messages
from application.envelopes import Commit, StoredEvent
from application.ports.bus import (
    BusMessage,
    CommitEntry,
    EventMessage,
    Publication,
    UnreadableMessage,
    Watermark,
    WatermarkMessage,
)
from contracts.log_handle import POST_A, RECORDED_AT

LOG_ID = "5d7ee5a1-9c0f-4b57-8a39-6f1a6c1f4e11"
COMMIT = Commit(
    position=15,
    stream_id=POST_A,
    version=7,
    commit_id="019b0000-0000-7000-8000-0000000000c1",
    recorded_at=RECORDED_AT,
    metadata={"actor": "ann", "correlationId": "corr-1", "traceparent": "00-4bf9-00f0-01"},
    events=(
        StoredEvent("MessageUpdated", 1, {"message": "Ahoj, světe 👋"}),
        StoredEvent("PostLiked", 2, {"username": None}),
    ),
)


def sent(*entries: CommitEntry | Watermark) -> list[WireMessage]:
    return list(to_messages(Publication(LOG_ID, 3, entries)))


def received(message: WireMessage, **headers: bytes | None) -> BusMessage:
    """With these headers changed, or left out."""
    changed: dict[str, bytes | None] = {**dict(message.headers), **headers}
    kept = [(name, value) for name, value in changed.items() if value is not None]
    return from_message(message.partition, 42, message.key, message.value, kept)


FIRST, SECOND = sent(CommitEntry(2, 11, COMMIT))
[MARK] = sent(Watermark(1, 11, 15))


def test_an_event_is_written_as_documented() -> None:
    assert (FIRST.partition, FIRST.key) == (2, b"019b0000-0000-7000-8000-00000000000a")
    assert FIRST.value == '{"message":"Ahoj, světe 👋"}'.encode()
    assert dict(FIRST.headers) == {
        "ce_specversion": b"1.0",
        "ce_source": b"urn:uuid:5d7ee5a1-9c0f-4b57-8a39-6f1a6c1f4e11",
        "ce_id": b"019b0000-0000-7000-8000-00000000000a:7",
        "ce_type": b"MessageUpdated",
        "ce_subject": b"019b0000-0000-7000-8000-00000000000a",
        "ce_time": b"2026-11-23T15:46:58.123Z",
        "ce_streamversion": b"7",
        "ce_schemaversion": b"1",
        "ce_position": b"15",
        "ce_prevposition": b"11",
        "ce_commitid": b"019b0000-0000-7000-8000-0000000000c1",
        "ce_commitindex": b"0",
        "ce_commitsize": b"2",
        "ce_partitioncount": b"3",
        "ce_correlationid": b"corr-1",
        "ce_traceparent": b"00-4bf9-00f0-01",
        "content-type": b"application/json",
    }
    assert len(FIRST.headers) == 17, "no header twice"


def test_a_watermark_is_written_as_documented() -> None:
    assert MARK[:3] == (1, None, None)
    assert dict(MARK.headers) == {
        "ce_specversion": b"1.0",
        "ce_source": b"urn:uuid:5d7ee5a1-9c0f-4b57-8a39-6f1a6c1f4e11",
        "ce_id": b"watermark:1:15",
        "ce_type": b"postlog.watermark",
        "ce_position": b"15",
        "ce_prevposition": b"11",
        "ce_partitioncount": b"3",
    }


def test_the_cloudevents_sdk_reads_an_event() -> None:
    event = from_binary(KafkaMessage(dict(SECOND.headers), SECOND.key, SECOND.value or b""))
    assert event.get_data() == {"username": None}
    assert {name: event[name] for name in ("id", "source", "type", "subject", "time", "datacontenttype")} == {
        "id": "019b0000-0000-7000-8000-00000000000a:8",
        "source": "urn:uuid:5d7ee5a1-9c0f-4b57-8a39-6f1a6c1f4e11",
        "type": "PostLiked",
        "subject": "019b0000-0000-7000-8000-00000000000a",
        "time": "2026-11-23T15:46:58.123Z",
        "datacontenttype": "application/json",
    }
    assert (event["streamversion"], event["commitindex"]) == ("8", "1")


def test_the_cloudevents_sdk_reads_a_watermark() -> None:
    event = from_binary(KafkaMessage(dict(MARK.headers), None, b"null"))
    assert (event["type"], event["position"], event.get_data()) == ("postlog.watermark", "15", None)


@pytest.mark.parametrize("message", [FIRST, SECOND, MARK])
def test_attribute_names_follow_the_cloudevents_specification(message: WireMessage) -> None:
    names = [name.removeprefix("ce_") for name, _ in message.headers if name != "content-type"]
    assert all(set(name) <= set(string.ascii_lowercase + string.digits) and len(name) <= 20 for name in names)


def test_events_come_back_with_what_the_bus_carries_of_the_metadata() -> None:
    metadata = {"correlationId": "corr-1", "traceparent": "00-4bf9-00f0-01"}

    def part(version_event: StoredEvent) -> Commit:
        return Commit(
            position=15,
            stream_id=POST_A,
            version=7,
            commit_id=COMMIT.commit_id,
            recorded_at=RECORDED_AT,
            metadata=metadata,
            events=(version_event,),
        )

    assert received(FIRST) == EventMessage(2, 42, LOG_ID, 3, 11, 15, 0, 2, part(COMMIT.events[0]))
    assert received(SECOND) == EventMessage(2, 42, LOG_ID, 3, 11, 15, 1, 2, part(COMMIT.events[1]))


def test_a_watermark_comes_back() -> None:
    assert received(MARK) == WatermarkMessage(1, 42, LOG_ID, 3, 11, 15)


def test_missing_metadata_are_left_out() -> None:
    bare = Commit(
        position=1,
        stream_id=POST_A,
        version=1,
        commit_id="c",
        recorded_at=RECORDED_AT,
        metadata={},
        events=(StoredEvent("PostLiked", 2, {}),),
    )
    [message] = sent(CommitEntry(0, 0, bare))
    assert not {"ce_correlationid", "ce_traceparent"} & dict(message.headers).keys()
    assert received(message) == EventMessage(0, 42, LOG_ID, 3, 0, 1, 0, 1, bare)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.dictionaries(st.text(), JSON_VALUES, max_size=4), type_name=st.text(min_size=1))
def test_any_stored_event_comes_back_as_it_was(data: dict[str, Any], type_name: str) -> None:
    event = StoredEvent(type_name, 3, data)
    commit = Commit(
        position=1,
        stream_id=POST_A,
        version=1,
        commit_id="c",
        recorded_at=RECORDED_AT,
        metadata={},
        events=(event,),
    )
    [message] = sent(CommitEntry(0, 0, commit))
    back = received(message)
    assert isinstance(back, EventMessage)
    assert back.part == commit
    assert json.loads(message.value or b"") == data


def written_plainly(entry: CommitEntry) -> list[tuple[int, bytes, dict[str, Any], dict[str, bytes]]]:
    """Each message alone, as docs/events.md describes it."""
    commit, post = entry.commit, str(entry.commit.stream_id)
    metadata = {f"ce_{name.lower()}": text for name, text in commit.metadata.items() if name != "actor"}
    return [
        (
            entry.partition,
            post.encode(),
            dict(event.data),
            {
                name: str(value).encode()
                for name, value in {
                    "ce_specversion": "1.0",
                    "ce_source": f"urn:uuid:{LOG_ID}",
                    "ce_id": f"{post}:{commit.version + index}",
                    "ce_type": event.type,
                    "ce_subject": post,
                    "ce_time": commit.recorded_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "ce_streamversion": commit.version + index,
                    "ce_schemaversion": event.schema_version,
                    "ce_position": commit.position,
                    "ce_prevposition": entry.prev_position,
                    "ce_commitid": commit.commit_id,
                    "ce_commitindex": index,
                    "ce_commitsize": len(commit.events),
                    "ce_partitioncount": 3,
                    "content-type": "application/json",
                    **metadata,
                }.items()
            },
        )
        for index, event in enumerate(commit.events)
    ]


NUMBERS = st.integers(1, 10**17)
METADATA = st.fixed_dictionaries({"actor": st.text()}, optional={"correlationId": st.text(), "traceparent": st.text()})
EVENTS = st.lists(
    st.builds(StoredEvent, st.text(min_size=1), st.integers(0, 99), st.dictionaries(st.text(), st.text(), max_size=2)),
    min_size=1,
    max_size=4,
)


@given(NUMBERS, NUMBERS, METADATA, EVENTS, st.datetimes(timezones=st.just(UTC)))
def test_headers_that_messages_share_are_as_if_each_message_was_written_alone(
    position: int, version: int, metadata: dict[str, str], events: list[StoredEvent], time: datetime
) -> None:
    entry = CommitEntry(
        position % 3,
        position - 1,
        Commit(
            position=position,
            stream_id=POST_A,
            version=version,
            commit_id="c",
            recorded_at=time,
            metadata=metadata,
            events=tuple(events),
        ),
    )
    messages = [(each.partition, each.key, json.loads(each.value or b""), dict(each.headers)) for each in sent(entry)]
    assert messages == written_plainly(entry)


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (received(FIRST._replace(value=b'{"message"')), "the value is not a JSON object: "),
        (received(FIRST._replace(value=b"[]")), "the value is not a JSON object: "),
        (received(FIRST._replace(value=None)), "the value is not a JSON object: "),
        (received(FIRST._replace(key=b"another")), "the key is not the ce_subject"),
        (received(FIRST._replace(key=None)), "the key is not the ce_subject"),
        (received(FIRST, ce_streamversion=b"x"), "the header ce_streamversion is not a whole number from 1 on"),
        (received(FIRST, ce_commitindex=b"2"), "the header ce_commitsize is not a whole number from 3 on"),
        (received(FIRST, ce_commitindex=b"-1"), "the header ce_commitindex is not a whole number from 0 on"),
        (received(FIRST, ce_schemaversion=None), "the header ce_schemaversion is not a whole number from 0 on"),
        (received(FIRST, ce_prevposition=b"15"), "the header ce_position is not a whole number from 16 on"),
        (received(FIRST, ce_partitioncount=b"0"), "the header ce_partitioncount is not a whole number from 1 on"),
        (received(FIRST, ce_commitid=None), "the header ce_commitid is missing"),
        (received(FIRST, ce_time=b"yesterday"), "it is no RFC 3339 time in UTC that ends with Z"),
        (received(FIRST, ce_type=None), "the header ce_type is missing"),
        (received(FIRST, ce_type=b"\xff"), "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (received(MARK, ce_prevposition=b"16"), "the header ce_position is not a whole number from 16 on"),
    ],
)
def test_an_unreadable_message_has_its_reason_and_position(damaged: BusMessage, reason: str) -> None:
    assert isinstance(damaged, UnreadableMessage)
    assert (damaged.log_id, damaged.position) == (LOG_ID, 15)
    assert damaged.reason.startswith(reason)


@pytest.mark.parametrize(
    "stranger",
    [
        from_message(0, 42, None, None, None),
        from_message(0, 42, b"key", b"{}", []),
        from_message(0, 42, None, b"{}", [("ce_type", None)]),
        received(FIRST, ce_source=b"somebody else"),
        received(FIRST, ce_source=None),
        received(FIRST, ce_position=b"1" * 19),
        received(FIRST, ce_position="²".encode()),
        received(MARK, ce_position=None),
    ],
)
def test_a_message_of_unknown_origin_has_no_position(stranger: BusMessage) -> None:
    assert isinstance(stranger, UnreadableMessage)
    assert (stranger.log_id, stranger.position) == (None, None)
