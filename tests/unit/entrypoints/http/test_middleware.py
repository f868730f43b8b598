"""Around every request: its correlation id, its log line, its measurement."""

import asyncio
import logging
from typing import Any

import pytest
import structlog

from application.errors import StoreUnavailable
from application.query_side.posts import PostDetail
from entrypoints.http.app import create_app
from unit.entrypoints.http.conftest import Client, client_of
from unit.entrypoints.http.fakes import POST, FakeClock, FakeMetrics, Scripted, done, post_row, services


async def test_a_request_keeps_its_correlation_id(client: Client, scripted: Scripted) -> None:
    scripted.answer = done()
    answer = await client.post(f"/api/v1/posts/{POST}/likes", headers={"X-Correlation-ID": "order-7/2"})
    assert (answer.headers["x-correlation-id"], scripted.context.correlation_id) == ("order-7/2", "order-7/2")


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, "naïve"])
async def test_a_request_without_a_valid_correlation_id_gets_one(client: Client, given: str | None) -> None:
    headers = [] if given is None else [(b"x-correlation-id", given.encode())]
    answer = await client.get("/health/live", headers=headers)
    assert answer.headers["x-correlation-id"] == "00000000-0000-7000-8000-000000000001"


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/posts/x", "/docs", "/api/v1/posts/%zz"])
async def test_every_response_carries_the_correlation_id(client: Client, path: str) -> None:
    answer = await client.get(path, headers={"X-Correlation-ID": "c-1"})
    assert answer.headers.get_list("x-correlation-id") == ["c-1"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_correlation_id_is_bound_to_the_log_lines_of_its_request_only() -> None:
    bound: list[dict[str, Any]] = []

    def note(_: object) -> object:
        bound.append(structlog.contextvars.get_contextvars())
        return done()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: object) -> None:
        pass

    app = create_app(services(commands=Scripted(note).commands()))
    headers = [(b"x-correlation-id", b"c-5")]
    scope = {"type": "http", "method": "POST", "path": f"/api/v1/posts/{POST}/likes", "query_string": b""}
    await app(scope | {"headers": headers}, receive, send)  # type: ignore[arg-type]
    assert bound == [{"correlation_id": "c-5"}]
    assert structlog.contextvars.get_contextvars() == {}


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == "request"]


async def test_a_request_is_one_line_without_what_users_wrote(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()

    def slowly(_: object) -> object:
        clock.seconds += 0.25
        return done()

    scripted.answer = slowly
    async with client_of(services(commands=scripted.commands(), clock=clock)) as client:
        with caplog.at_level(logging.INFO):
            await client.delete(f"/api/v1/posts/{POST}/likes/ann", headers={"X-Correlation-ID": "c-1"})
    (line,) = lines(caplog)
    assert {name: getattr(line, name) for name in ("method", "route", "status", "duration_ms", "correlation_id")} == {
        "method": "DELETE",
        "route": "/api/v1/posts/{id}/likes/{username}",
        "status": 200,
        "duration_ms": 250.0,
        "correlation_id": "c-1",
    }
    assert "ann" not in str(vars(line))


async def test_the_line_of_a_problem_names_its_code(
    client: Client, scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.answer = StoreUnavailable("It does not answer.")
    with caplog.at_level(logging.INFO):
        await client.get("/api/v1/posts?author=ann")
    (line,) = lines(caplog)
    assert (line.problem, line.status) == ("store-unavailable", 503)
    assert "ann" not in str(vars(line))


async def test_a_503_is_logged_as_a_warning_at_most_every_few_seconds(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    scripted.answer = StoreUnavailable("It does not answer.")
    async with client_of(services(queries=scripted.queries(), clock=clock)) as client:
        with caplog.at_level(logging.WARNING):
            for seconds in (0, 1, 1, 4):
                clock.seconds += seconds
                await client.get("/api/v1/posts")
    warned = [(line.levelno, line.status, line.more_since_last_warning) for line in lines(caplog)]
    assert warned == [(logging.WARNING, 503, 0), (logging.WARNING, 503, 2)]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
async def test_polled_paths_are_logged_at_level_debug(
    client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        await client.get(path)
    assert [line.levelno for line in lines(caplog)] == [logging.DEBUG]


async def test_requests_are_measured_by_route_and_never_by_path(scripted: Scripted) -> None:
    metrics = FakeMetrics()
    scripted.answer = PostDetail(post=post_row(), comments=[])
    async with client_of(services(queries=scripted.queries(), metrics=metrics)) as client:
        await client.get(f"/api/v1/posts/{POST}")
        await client.get("/some/where")
        await client.request("BREW", f"/api/v1/posts/{POST}")
    assert metrics.noted == [
        ("http_request_seconds", {"method": "GET", "route": "/api/v1/posts/{id}", "status": "200"}),
        ("http_request_seconds", {"method": "GET", "route": "unknown", "status": "404"}),
        ("http_problems", {"code": "route-not-found"}),
        ("http_request_seconds", {"method": "other", "route": "unknown", "status": "405"}),
        ("http_problems", {"code": "method-not-allowed"}),
    ]


async def test_head_is_get_without_the_body(client: Client, scripted: Scripted) -> None:
    scripted.answer = PostDetail(post=post_row(), comments=[])
    got = await client.get(f"/api/v1/posts/{POST}")
    head = await client.head(f"/api/v1/posts/{POST}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_head_of_a_problem_has_no_body_either(client: Client) -> None:
    head = await client.head("/nowhere")
    assert (head.status_code, head.content) == (404, b"")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/posts", "GET, HEAD, OPTIONS, POST"),
        (f"/api/v1/posts/{POST}", "DELETE, GET, HEAD, OPTIONS"),
        (f"/api/v1/posts/{POST}/likes", "OPTIONS, POST"),
        ("/health/live", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_names_the_methods_of_a_path(client: Client, path: str, allowed: str) -> None:
    answer = await client.options(path)
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (204, b"", allowed)


@pytest.mark.parametrize("stopping", [True, False])
async def test_only_a_stopping_process_swallows_a_cancelled_request(stopping: bool) -> None:
    """When a process ends, an unfinished request is no error; at any other time it must be reported."""
    given = services(commands=Scripted().commands())
    app = create_app(given)
    waiting = asyncio.Event()

    async def receive() -> dict[str, Any]:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: object) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/api/v1/posts", "headers": [], "query_string": b""}
    asking = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
    await waiting.wait()
    if stopping:
        given.stopping.set()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled() is not stopping
