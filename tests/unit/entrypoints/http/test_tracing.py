"""The span of a request: what it has of the request, what it has not, and which requests have none."""

import pytest
import structlog
from opentelemetry.trace import SpanKind, StatusCode

from application.errors import StoreUnavailable
from domain.errors import PostNotFound
from entrypoints.http.app import create_app
from traced import Traces
from unit.adapters.otel.test_tracer import A, ids
from unit.entrypoints.http.conftest import Client, client_of
from unit.entrypoints.http.fakes import POST, Scripted, done, services

LIKES = f"/api/v1/posts/{POST}/likes"


@pytest.fixture
def traces() -> Traces:
    return Traces()


async def answered(traces: Traces, scripted: Scripted, method: str, path: str, **headers: str) -> int:
    given = services(commands=scripted.commands(), queries=scripted.queries(), tracer=traces.tracer)
    async with client_of(given) as client:
        response = await client.request(
            method, path, headers={name.replace("_", "-"): headers[name] for name in headers}
        )
    return response.status_code


async def test_it_continues_the_caller_s_trace_and_names_the_route(traces: Traces) -> None:
    assert await answered(traces, Scripted(done()), "POST", LIKES, traceparent=A) == 200
    [span] = traces.spans
    assert (span.name, span.kind) == ("POST /api/v1/posts/{id}/likes", SpanKind.SERVER)
    assert traces.parent(span) == ids(A)
    assert span.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/api/v1/posts/{id}/likes",
        "http.response.status_code": 200,
    }


async def test_a_problem_is_named_and_only_a_5xx_is_a_failure(traces: Traces) -> None:
    assert await answered(traces, Scripted(PostNotFound("Bobolink's post is gone.")), "POST", LIKES) == 404
    assert await answered(traces, Scripted(StoreUnavailable("Bobolink's store is away.")), "POST", LIKES) == 503
    refused, failed = traces.spans
    assert (refused.attributes or {})["postlog.problem"] == "post-not-found"
    assert "error.type" not in (refused.attributes or {})
    assert refused.status.status_code is StatusCode.UNSET
    assert (failed.attributes or {})["error.type"] == "store-unavailable"
    assert failed.status.status_code is StatusCode.ERROR
    assert "Bobolink" not in refused.to_json() + failed.to_json()


async def test_a_bug_is_a_failure_without_its_message(traces: Traces) -> None:
    assert await answered(traces, Scripted(KeyError("Bobolink")), "POST", LIKES) == 500
    [span] = traces.spans
    assert (span.attributes or {})["error.type"] == "internal-error"
    assert "Bobolink" not in span.to_json()


async def test_nothing_that_a_client_sends_is_in_it(traces: Traces) -> None:
    secret = "s3cret"
    headers = {
        "Authorization": f"Bearer {secret}",
        "Cookie": f"session={secret}",
        "Idempotency_Key": secret,
        "X_Correlation_ID": secret,
        "User_Agent": secret,
        "tracestate": f"vendor={secret}",
        "baggage": f"user={secret}",
    }
    assert await answered(traces, Scripted(done()), "POST", f"/{secret}?{secret}={secret}", **headers) == 404
    assert await answered(traces, Scripted(done()), "POST", LIKES, traceparent=secret, **headers) == 200
    assert [span.name for span in traces.spans] == ["POST", "POST /api/v1/posts/{id}/likes"]
    assert secret not in "".join(span.to_json() for span in traces.spans)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
async def test_probes_are_not_traced(traces: Traces, path: str) -> None:
    await answered(traces, Scripted(), "GET", path)
    assert traces.spans == []


async def test_event_streams_are_not_traced(traces: Traces) -> None:
    await answered(
        traces, Scripted(PostNotFound("gone")), "GET", f"/api/v1/posts/{POST}/events", accept="text/event-stream"
    )
    assert traces.spans == []


async def test_log_lines_of_a_request_have_its_trace_id(traces: Traces) -> None:
    bound: list[dict[str, object]] = []

    def note(_: object) -> object:
        bound.append(structlog.contextvars.get_contextvars())
        return done()

    await answered(traces, Scripted(note), "POST", LIKES, traceparent=A, X_Correlation_ID="c-5")
    assert bound == [{"correlation_id": "c-5", "trace_id": ids(A)[0]}]


async def test_without_a_tracer_there_is_no_layer_for_it(client: Client) -> None:
    assert type(client.app.asgi_handler).__name__ == "RequestMiddleware"
    traced = create_app(services(tracer=Traces().tracer))
    assert type(traced.asgi_handler).__name__ == "TracedRequests"
