"""A tracer of OpenTelemetry whose spans stay in memory."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from adapters.otel.conventions import Conventions
from adapters.otel.tracer import OtelTracer


class Traces:
    """`spans` are in the order of their ends."""

    def __init__(self, sampler: Sampler = DEFAULT_ON) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OtelTracer(provider, Conventions(log="mongodb", rows="postgresql", bus="kafka", topic="posts"))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def of_trace(self, traceparent: str) -> list[ReadableSpan]:
        return [span for span in self.spans if self.ids(span)[0] == traceparent.split("-")[1]]

    @staticmethod
    def ids(span: ReadableSpan) -> tuple[str, str]:
        """Trace and span."""
        context = span.get_span_context()
        assert context is not None
        return f"{context.trace_id:032x}", f"{context.span_id:016x}"

    @staticmethod
    def parent(span: ReadableSpan) -> tuple[str, str] | None:
        return None if span.parent is None else (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}")

    @staticmethod
    def links(span: ReadableSpan) -> set[tuple[str, str]]:
        return {(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in span.links}
