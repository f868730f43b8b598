"""One command in the spans of four processes, by its trace id: over HTTP, into the log on MongoDB, over Kafka, into a
row of PostgreSQL, and back to a reader."""

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from integration.distributed.evidence import commits_of
from integration.distributed.system import Place, System
from otlp import Collector, ReceivedSpan, collecting

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "projector": ("project",),
}
SECRETS = ("Bobolink", "nobody else reads this", "idempotency-4711", "t0ken")


def test_a_command_is_followed_through_every_process_by_its_trace_id(tmp_path: Path, place: Place) -> None:
    with collecting() as collector, System(tmp_path, place.settings | collector.environment) as system:
        system.start_all(SERVICES)
        trace_id, span_id = uuid4().hex, uuid4().hex[:16]
        headers = {"traceparent": f"00-{trace_id}-{span_id}-01", "Authorization": "Bearer t0ken"}
        body = {"author": "Bobolink", "message": "nobody else reads this"}
        posted = httpx.post(
            f"{system.url('commands')}/api/v1/posts",
            json=body,
            headers=headers | {"Idempotency-Key": "idempotency-4711"},
            timeout=20,
        )
        assert posted.status_code == 201, posted.text
        post = posted.json()
        reading = headers | {"Postlog-Min-Position": str(post["position"])}
        assert system.get("queries", f"/api/v1/posts/{post['id']}", **reading).status_code == 200

        publish = f"publish {place.topic}"
        found = collector.wait_for(
            trace_id,
            *("POST /api/v1/posts", "command CreatePost", "load", "decide", "append", publish, "project"),
            *("GET /api/v1/posts/{id}", "query GetPost", "read rows"),
        )
        assert {name: span.service for name, span in found.items()} == {
            "POST /api/v1/posts": "postlog-serve-command",
            "command CreatePost": "postlog-serve-command",
            "load": "postlog-serve-command",
            "decide": "postlog-serve-command",
            "append": "postlog-serve-command",
            publish: "postlog-relay",
            "project": "postlog-project",
            "GET /api/v1/posts/{id}": "postlog-serve-query",
            "query GetPost": "postlog-serve-query",
            "read rows": "postlog-serve-query",
        }
        assert_they_hang_together(found, publish, span_id)
        attributes = {name: span.attributes for name, span in found.items()}
        position = post["position"]
        assert attributes["append"]["db.system.name"] == "mongodb"
        assert attributes["append"]["postlog.position"] == position
        assert attributes[publish]["messaging.system"] == attributes["project"]["messaging.system"] == "kafka"
        assert attributes["project"]["db.system.name"] == attributes["read rows"]["db.system.name"] == "postgresql"
        assert attributes["read rows"]["postlog.min_position"] == position
        [commit] = commits_of(place)
        assert commit["metadata"]["traceparent"] == f"00-{trace_id}-{found['command CreatePost'].span_id}-01"

        for verb in ("rebuild", "audit"):
            assert system.run(verb, timeout=150).returncode == 0
        collector.wait_until(lambda spans: {"rebuild", "audit"} <= {span.name for span in spans})
        assert {span.service for span in collector.spans if span.name in ("rebuild", "audit")} == {
            "postlog-rebuild",
            "postlog-audit",
        }
        assert_no_secret(collector, place)


def assert_they_hang_together(found: dict[str, ReceivedSpan], publish: str, caller: str) -> None:
    request, command = found["POST /api/v1/posts"], found["command CreatePost"]
    assert request.parent == caller
    assert command.parent == request.span_id
    for name in ("load", "decide", "append", publish, "project"):
        assert found[name].parent == command.span_id, name
    assert found["project"].links == {(command.trace_id, command.span_id)}
    assert found["GET /api/v1/posts/{id}"].parent == caller
    assert found["query GetPost"].parent == found["GET /api/v1/posts/{id}"].span_id
    assert found["read rows"].parent == found["query GetPost"].span_id


def assert_no_secret(collector: Collector, place: Place) -> None:
    sent = b"".join(collector.received)
    for secret in (*SECRETS, place.mongo_url, place.postgres_url):
        assert secret.encode() not in sent, secret
