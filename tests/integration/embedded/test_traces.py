"""A trace of OpenTelemetry: one command, followed by its trace id from the request to the row."""

import json
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import httpx

from otlp import Collector, collecting
from running import Running, embedded

SECRETS = (
    "Bobolink",
    "a message that nobody else reads",
    "key-a1b2c3",
    "correlation-77",
    "hidden comment",
    "s3cret-token",
)


def caller() -> tuple[str, str, dict[str, str]]:
    """A trace id, a span id, and the header that carries them."""
    trace_id, span_id = uuid4().hex, uuid4().hex[:16]
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-01"}


def create_post(address: str, headers: dict[str, str]) -> dict[str, object]:
    response = httpx.post(
        f"{address}/api/v1/posts", json={"author": "Bobolink", "message": SECRETS[1]}, headers=headers, timeout=20
    )
    assert response.status_code == 201, response.text
    made: dict[str, object] = response.json()
    return made


def test_a_command_is_followed_from_its_request_to_its_row(tmp_path: Path) -> None:
    with collecting() as collector:
        env = collector.environment | {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer s3cret-token"}
        with embedded(tmp_path, **env) as (running, address):
            trace_id, span_id, headers = caller()
            post = create_post(
                address, headers | {"Idempotency-Key": "key-a1b2c3", "X-Correlation-ID": "correlation-77"}
            )
            reading = headers | {"Postlog-Min-Position": str(post["position"])}
            assert httpx.get(f"{address}/api/v1/posts/{post['id']}?x", headers=headers).status_code == 400
            assert httpx.get(f"{address}/api/v1/posts/{post['id']}", headers=reading).status_code == 200
            spans = collector.wait_for(
                trace_id,
                "POST /api/v1/posts",
                "command CreatePost",
                "load",
                "decide",
                "append",
                "project",
                "GET /api/v1/posts/{id}",
                "query GetPost",
                "read rows",
            )
        request, command = spans["POST /api/v1/posts"], spans["command CreatePost"]
        assert (request.parent, request.kind, request.service) == (span_id, 2, "postlog-run")
        assert request.attributes == {
            "http.request.method": "POST",
            "http.route": "/api/v1/posts",
            "http.response.status_code": 201,
            "url.scheme": "http",
        }
        assert command.parent == request.span_id
        assert command.attributes == {
            "postlog.post_id": post["id"],
            "postlog.version": 1,
            "postlog.position": post["position"],
            "postlog.replayed": False,
        }
        for name in ("load", "decide", "append", "project"):
            assert spans[name].parent == command.span_id, name
        assert spans["append"].attributes == {
            "db.system.name": "sqlite",
            "postlog.group_size": 1,
            "postlog.position": post["position"],
            "postlog.last_position": post["position"],
        }
        assert spans["project"].links == {(trace_id, command.span_id)}
        assert spans["query GetPost"].parent in {
            span.span_id for span in collector.of_trace(trace_id) if span.name == "GET /api/v1/posts/{id}"
        }
        assert spans["read rows"].attributes["postlog.min_position"] == post["position"]
        assert stored_traceparents(tmp_path) == [f"00-{trace_id}-{command.span_id}-01"]
        assert collector.authorization == "Bearer s3cret-token"
        assert_no_secret(collector, running)


def test_a_collector_that_never_answers_delays_neither_commands_nor_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        with embedded(tmp_path, **env) as (running, address):
            for _ in range(3):
                create_post(address, {})
            stopped_at = time.monotonic()
            assert running.signal(signal.SIGTERM, deadline=20) == 0
            assert time.monotonic() - stopped_at < 15
        assert "the last spans could not be exported within 2 s and are lost" in running.printed
        assert len(stored_traceparents(tmp_path)) == 3


def test_a_process_that_nobody_asks_for_traces_imports_nothing_of_opentelemetry(tmp_path: Path) -> None:
    with embedded(tmp_path, PYTHONPROFILEIMPORTTIME="1") as (running, address):
        create_post(address, caller()[2])
        imported = {line.rpartition("|")[2].strip() for line in running.printed.splitlines() if "import time:" in line}
    assert {"application.tracing", "granian"} <= imported
    # Litestar's attempt to import the package itself is listed, too, although it is refused.
    assert not [name for name in imported if name.startswith(("opentelemetry.", "google.", "adapters.otel"))]


def stored_traceparents(folder: Path) -> list[str]:
    """Of all commits, in order."""
    with closing(sqlite3.connect(folder / "log.sqlite")) as log:
        found = log.execute("SELECT metadata FROM commits ORDER BY position").fetchall()
    return [json.loads(metadata)["traceparent"] for (metadata,) in found]


def assert_no_secret(collector: Collector, running: Running) -> None:
    sent = b"".join(collector.received)
    assert sent
    for secret in SECRETS:
        assert secret.encode() not in sent, secret
    assert "s3cret-token" not in running.printed
