"""Spans of OpenTelemetry. What surrounds a block is in OpenTelemetry's own context, so that libraries that are
instrumented for it find their place in the trace, too.

A span costs 50 to 70 µs of processor time, and 20 if its trace is not sampled.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapters.otel.conventions import Conventions, Value, named
from application.errors import Unavailable
from application.ports.system import Step
from domain.errors import PostlogError

_MOST_TRACES = 128
"""Of those that share a step: OpenTelemetry's own limit of links, and a bound for what a large batch costs."""

_TRACEPARENT = "traceparent"

_PROPAGATOR = TraceContextTextMapPropagator()


class OtelSpan:
    def __init__(self, span: trace.Span, step: Step, conventions: Conventions) -> None:
        self.span = span
        self._step = step
        self._conventions = conventions

    @property
    def traceparent(self) -> str:
        context = self.span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, **attributes: Value | None) -> None:
        self.span.set_attributes(named(attributes))

    def rename(self, subject: str) -> None:
        self.span.update_name(self._conventions.name(self._step, subject))

    def fail(self, error: str) -> None:
        self.set(error=error)
        self.span.set_status(Status(StatusCode.ERROR))

    def record(self, error: BaseException) -> None:
        """Not its message, which may quote what somebody wrote. A refusal is an answer, not a failure."""
        match error:
            case asyncio.CancelledError() | GeneratorExit():
                pass
            case Unavailable():
                self.fail(error.code)
            case PostlogError():
                self.set(problem=error.code)
            case _:
                self.fail(type(error).__qualname__)


class OtelTracer:
    def __init__(self, provider: TracerProvider, conventions: Conventions) -> None:
        self._tracer = provider.get_tracer("postlog")
        self._conventions = conventions

    @contextmanager
    def span(
        self,
        step: Step,
        subject: str = "",
        *,
        parent: str | None = None,
        inner: bool = False,
        **attributes: Value | None,
    ) -> Iterator[OtelSpan]:
        around = contexts.get_current()
        if not trace.get_current_span(around).get_span_context().is_valid:
            if inner:
                yield OtelSpan(trace.INVALID_SPAN, step, self._conventions)
                return
            around = trace.set_span_in_context(trace.NonRecordingSpan(_context_of(parent)), around)
        with _current(self._started(step, subject, around, (), attributes), around) as span:
            yield span

    @contextmanager
    def shared(self, step: Step, traceparents: Iterable[str | None], **attributes: Value | None) -> Iterator[OtelSpan]:
        """The span of the first trace has links to all of them, and the spans of the others have a link to it. So a
        step is found from each trace that it belongs to, and is sampled if one of them is."""
        found = (_context_of(each) for each in dict.fromkeys(traceparents) if each is not None)
        parents = list(islice((each for each in found if each.is_valid), _MOST_TRACES))
        sampled = [each for each in parents if each.trace_flags.sampled]
        first = (sampled or parents or [trace.INVALID_SPAN_CONTEXT])[0]
        around = trace.set_span_in_context(trace.NonRecordingSpan(first))
        span = self._started(step, "", around, [Link(each) for each in sampled], attributes)
        try:
            with _current(span, around):
                yield span
        finally:
            for each in sampled[1:]:
                self._copy(span, each)

    def _started(
        self, step: Step, subject: str, around: Context, links: Sequence[Link], attributes: dict[str, Value | None]
    ) -> OtelSpan:
        span = self._tracer.start_span(
            self._conventions.name(step, subject),
            around,
            self._conventions.kind(step),
            self._conventions.attributes(step, attributes),
            links,
        )
        return OtelSpan(span, step, self._conventions)

    def _copy(self, shared: OtelSpan, parent: SpanContext) -> None:
        span = shared.span
        if not isinstance(span, ReadableSpan):
            return
        copy = self._tracer.start_span(
            span.name,
            trace.set_span_in_context(trace.NonRecordingSpan(parent), Context()),
            span.kind,
            span.attributes,
            [Link(span.get_span_context())],
            span.start_time,
        )
        if not span.status.is_unset:
            copy.set_status(span.status)
        copy.end(span.end_time)


@contextmanager
def _current(span: OtelSpan, around: Context) -> Iterator[OtelSpan]:
    before = contexts.get_current()
    contexts.attach(trace.set_span_in_context(span.span, around))
    try:
        yield span
    except BaseException as error:
        span.record(error)
        raise
    finally:
        contexts.attach(before)  # no token: an asynchronous generator may end in another context
        span.span.end()


@lru_cache(maxsize=1_000)
def _context_of(traceparent: str | None) -> SpanContext:
    if traceparent is None:
        return trace.INVALID_SPAN_CONTEXT
    extracted = _PROPAGATOR.extract({_TRACEPARENT: traceparent}, Context())
    return trace.get_current_span(extracted).get_span_context()
