"""The document about the Kafka topic says what the messages really are."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from adapters.wire.cloudevents import WireMessage, to_messages
from application.envelopes import Commit
from application.ports.bus import CommitEntry, Publication, Watermark
from domain.ids import PostId
from entrypoints.settings.model import Settings
from tools.catalogue.asyncapi import TOPIC
from tools.catalogue.stored_shapes import GoldenEvent, golden_events

ROOT = Path(__file__).parents[3]
DOCUMENT = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text(encoding="utf-8"))
GOLDEN = golden_events(ROOT / "tests/golden")


def commit_of(golden: GoldenEvent, **metadata: str) -> Commit:
    return Commit(
        position=9,
        stream_id=PostId("019b0000-0000-7000-8000-00000000000a"),
        version=3,
        commit_id="019b0000-0000-7000-8000-0000000000ff",
        recorded_at=datetime(2026, 11, 23, 15, 46, 58, 123_000, UTC),
        metadata=metadata,
        events=golden.stored,
    )


def published(entry: CommitEntry | Watermark) -> WireMessage:
    [message] = to_messages(Publication("019b0000-0000-7000-8000-0000000000aa", 3, [entry]))
    return message


def headers_of(message: WireMessage) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers}


def problems(message: str, part: str, value: Any) -> list[str]:
    """What the document has against it."""
    schema = {**DOCUMENT, "$ref": f"#/components/messages/{message}/{part}"}
    return [
        error.message for error in jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(value)
    ]


def known_headers(message: str) -> set[str]:
    own = DOCUMENT["components"]["messages"][message]["headers"]
    shared = [DOCUMENT["components"]["schemas"][ref["$ref"].rpartition("/")[2]] for ref in own.get("allOf", [])]
    return {name for schema in [own, *shared] for name in schema["properties"]}


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=GOLDEN.keys())
def test_a_message_of_every_stored_version_is_as_described(golden: GoldenEvent) -> None:
    commit = commit_of(
        golden, correlationId="abc", traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    )
    message = published(CommitEntry(1, 7, commit))
    assert message.value is not None
    assert problems(golden.shape, "headers", headers_of(message)) == []
    assert problems(golden.shape, "payload", json.loads(message.value)) == []
    assert headers_of(message).keys() == known_headers(golden.shape)


def test_headers_of_a_request_may_be_missing_and_no_others() -> None:
    golden = GOLDEN["PostLiked.v2"]
    headers = headers_of(published(CommitEntry(1, 7, commit_of(golden))))
    assert problems(golden.shape, "headers", headers) == []
    for name in headers:
        without = {other: value for other, value in headers.items() if other != name}
        assert problems(golden.shape, "headers", without), name


def test_another_version_s_message_is_not_taken_for_this_one() -> None:
    headers = headers_of(published(CommitEntry(1, 7, commit_of(GOLDEN["PostLiked.v1"]))))
    assert problems("PostLiked.v2", "headers", headers)
    assert problems("PostLiked.v2", "payload", {})


def test_a_watermark_is_as_described() -> None:
    message = published(Watermark(1, 7, 9))
    assert (message.key, message.value) == (None, None)
    assert problems("postlog.watermark", "headers", headers_of(message)) == []
    assert problems("postlog.watermark", "payload", None) == []
    assert headers_of(message).keys() == known_headers("postlog.watermark")


def test_the_topic_has_the_name_that_settings_have_by_default() -> None:
    assert Settings().bus.kafka.topic == TOPIC == DOCUMENT["channels"][TOPIC]["address"]


def test_every_reference_leads_somewhere() -> None:
    def references(plain: Any) -> list[str]:
        if isinstance(plain, dict):
            inner = [found for value in plain.values() for found in references(value)]
            return inner + ([plain["$ref"]] if isinstance(plain.get("$ref"), str) else [])
        return [found for value in plain for found in references(value)] if isinstance(plain, list) else []

    found = references(DOCUMENT)
    assert len(found) > len(GOLDEN)
    for reference in found:
        node: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]
