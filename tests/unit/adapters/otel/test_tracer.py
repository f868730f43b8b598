"""Spans of OpenTelemetry: their parents, links, names and attributes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind

from application.errors import StoreUnavailable
from application.ports.system import Step
from domain.errors import NotTheAuthor
from traced import Traces

A = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
B = "00-1bf7651916cd43dd8448eb211c80319d-c7ad6b7169203332-01"
C = "00-2cf7651916cd43dd8448eb211c80319e-d7ad6b7169203333-01"
NOT_SAMPLED = "00-3df7651916cd43dd8448eb211c80319f-e7ad6b7169203334-00"
INVALID = ["", "nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01", f"ff{A[2:]}", "é"]


def ids(traceparent: str) -> tuple[str, str]:
    """Trace and span."""
    _, trace_id, span_id, _ = traceparent.split("-")
    return trace_id, span_id


@pytest.fixture
def traces() -> Traces:
    return Traces()


def test_a_span_continues_the_trace_of_its_parent(traces: Traces) -> None:
    with traces.tracer.span(Step.COMMAND, "LikePost", parent=A, post_id="p1") as span:
        span.set(position=7, version=None)
    [found] = traces.spans
    assert (found.name, found.kind) == ("command LikePost", SpanKind.INTERNAL)
    assert traces.parent(found) == ids(A)
    assert dict(found.attributes or {}) == {"postlog.post_id": "p1", "postlog.position": 7}
    assert span.traceparent == f"00-{ids(A)[0]}-{traces.ids(found)[1]}-01"


def test_the_span_of_the_block_around_it_is_its_parent(traces: Traces) -> None:
    with traces.tracer.span(Step.REQUEST, "GET") as outer, traces.tracer.span(Step.QUERY, "GetPost", parent=A):
        pass
    query, request = traces.spans
    assert traces.parent(query) == ids(outer.traceparent)
    assert traces.parent(request) is None


async def test_tasks_that_a_block_starts_are_inside_it_and_others_are_not(traces: Traces) -> None:
    async def step() -> None:
        with traces.tracer.span(Step.QUERY, "GetPost", inner=True):
            await asyncio.sleep(0)

    outside = asyncio.create_task(step())
    with traces.tracer.span(Step.REQUEST, "GET") as request:
        await asyncio.create_task(step())
    await outside
    await step()
    assert [span.name for span in traces.spans] == ["query GetPost", "GET"]
    assert traces.parent(traces.spans[0]) == ids(request.traceparent)


@pytest.mark.parametrize("traceparent", INVALID)
def test_an_invalid_traceparent_begins_a_new_trace(traces: Traces, traceparent: str) -> None:
    with traces.tracer.span(Step.COMMAND, "LikePost", parent=traceparent):
        pass
    with traces.tracer.shared(Step.PROJECT, [traceparent, None]):
        pass
    assert [traces.parent(span) for span in traces.spans] == [None, None]
    assert [span.links for span in traces.spans] == [(), ()]


def test_a_shared_step_is_in_each_of_its_traces_and_linked(traces: Traces) -> None:
    with traces.tracer.shared(Step.APPEND, [A, None, B, A, INVALID[1], C], group_size=3) as span:
        span.set(position=1)
    of_a, of_b, of_c = traces.spans
    assert [traces.parent(each) for each in traces.spans] == [ids(A), ids(B), ids(C)]
    assert traces.links(of_a) == {ids(A), ids(B), ids(C)}
    assert traces.links(of_b) == traces.links(of_c) == {traces.ids(of_a)}
    for each in traces.spans:
        assert (each.name, each.kind, each.start_time, each.end_time) == (
            "append",
            SpanKind.CLIENT,
            of_a.start_time,
            of_a.end_time,
        )
        assert each.attributes == {"db.system.name": "mongodb", "postlog.group_size": 3, "postlog.position": 1}


def test_a_shared_step_that_fails_has_failed_in_each_trace(traces: Traces) -> None:
    with pytest.raises(StoreUnavailable), traces.tracer.shared(Step.APPEND, [A, B]):
        raise StoreUnavailable("Bob's log is away.")
    assert [has_failed(each) for each in traces.spans] == [True, True]
    assert [(each.attributes or {})["error.type"] for each in traces.spans] == ["store-unavailable"] * 2


def test_a_shared_step_has_bounded_traces(traces: Traces) -> None:
    many = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 400)]
    with traces.tracer.shared(Step.PROJECT, many):
        pass
    assert len(traces.spans) == 128
    assert len(traces.spans[0].links) == 128


def test_what_the_caller_does_not_sample_is_not_exported_and_names_its_trace_all_the_same(traces: Traces) -> None:
    with traces.tracer.span(Step.COMMAND, "LikePost", parent=NOT_SAMPLED) as span:
        span.set(position=1)
        with traces.tracer.shared(Step.APPEND, [span.traceparent]):
            pass
    assert traces.spans == []
    assert ids(span.traceparent)[0] == ids(NOT_SAMPLED)[0]
    assert span.traceparent.endswith("-00")


def test_a_shared_step_is_sampled_if_one_of_its_traces_is() -> None:
    traces = Traces(sampler=ParentBased(ALWAYS_OFF))
    with traces.tracer.shared(Step.PROJECT, [NOT_SAMPLED, A]):
        pass
    [found] = traces.spans
    assert traces.parent(found) == ids(A)
    assert traces.links(found) == {ids(A)}


@pytest.mark.parametrize(
    ("error", "failed", "attributes"),
    [
        (NotTheAuthor("Only Alice may do that, not Bob."), False, {"postlog.problem": "not-the-author"}),
        (StoreUnavailable("mongodb://user:secret@host"), True, {"error.type": "store-unavailable"}),
        (KeyError("Bob"), True, {"error.type": "KeyError"}),
        (asyncio.CancelledError("Bob"), False, {}),
    ],
)
def test_an_error_is_recorded_without_its_message(
    traces: Traces, error: BaseException, failed: bool, attributes: dict[str, str]
) -> None:
    with pytest.raises(type(error)), traces.tracer.span(Step.AUDIT):
        raise error
    [found] = traces.spans
    assert found.attributes == attributes
    assert has_failed(found) is failed
    assert (found.status.description, found.events) == (None, ())


async def test_a_generator_may_end_in_another_task(traces: Traces, caplog: pytest.LogCaptureFixture) -> None:
    async def numbers() -> AsyncGenerator[int]:
        with traces.tracer.span(Step.REBUILD):
            yield 1
            yield 2

    async with aclosing(numbers()) as generator:
        assert await anext(generator) == 1
        await asyncio.create_task(generator.aclose())
    assert [span.name for span in traces.spans] == ["rebuild"]
    assert caplog.records == []


def test_names_and_attributes_follow_the_semantic_conventions(traces: Traces) -> None:
    with traces.tracer.span(Step.REQUEST, "GET", method="GET", scheme="https") as request:
        request.rename("GET /api/v1/posts/{id}")
        request.set(route="/api/v1/posts/{id}", status=503)
        request.fail("store-unavailable")
    with traces.tracer.shared(Step.PUBLISH, [], commits=2) as publish:
        publish.set(messages=3)
    with traces.tracer.shared(Step.PROJECT, []):
        pass
    request_span, publish_span, project_span = traces.spans
    assert (request_span.name, request_span.kind) == ("GET /api/v1/posts/{id}", SpanKind.SERVER)
    assert request_span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "http.route": "/api/v1/posts/{id}",
        "http.response.status_code": 503,
        "error.type": "store-unavailable",
    }
    assert (publish_span.name, publish_span.kind) == ("publish posts", SpanKind.PRODUCER)
    assert publish_span.attributes == {
        "messaging.system": "kafka",
        "messaging.destination.name": "posts",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 3,
        "postlog.commits": 2,
    }
    assert (project_span.name, project_span.kind) == ("project", SpanKind.CONSUMER)
    assert project_span.attributes == {
        "messaging.system": "kafka",
        "messaging.destination.name": "posts",
        "messaging.operation.name": "project",
        "messaging.operation.type": "process",
        "db.system.name": "postgresql",
    }


def has_failed(span: ReadableSpan) -> bool:
    return not span.status.is_unset and not span.status.is_ok
