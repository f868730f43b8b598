"""A collector of OpenTelemetry on loopback: receives spans by OTLP over HTTP, and keeps them."""

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from running import ticks


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """Ids in hexadecimal digits; `links` are traces and spans. `parent` is empty for the first span of a trace."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    links: frozenset[tuple[str, str]]
    attributes: Mapping[str, str | int | float | bool]
    failed: bool
    seconds: float


@dataclass(slots=True)
class Collector:
    """`received` are the requests as they came, `authorization` what the last one had in that header."""

    address: str
    spans: list[ReceivedSpan] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    authorization: str | None = None
    status: int = 200

    @property
    def environment(self) -> dict[str, str]:
        """Makes a process send its spans here, soon after they have ended."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.address, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def of_trace(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in list(self.spans) if span.trace_id == trace_id]

    def wait_for(self, trace_id: str, *names: str, deadline: float = 20) -> dict[str, ReceivedSpan]:
        """Spans of this trace by name, the first of each, once it has all of `names`."""
        for _ in ticks(deadline, f"no span of each of {names}; of this trace came {self._names(trace_id)}"):
            found = {span.name: span for span in reversed(self.of_trace(trace_id))}
            if found.keys() >= set(names):
                return found
        raise AssertionError

    def wait_until(self, is_true: Callable[[list[ReceivedSpan]], bool], deadline: float = 20) -> None:
        for _ in ticks(deadline, f"the spans that were waited for did not come, but {len(self.spans)} others"):
            if is_true(list(self.spans)):
                return

    def _names(self, trace_id: str) -> list[str]:
        return sorted({span.name for span in self.of_trace(trace_id)})

    def receive(self, body: bytes) -> None:
        self.received.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for of_resource in request.resource_spans:
            service = next(
                each.value.string_value for each in of_resource.resource.attributes if each.key == "service.name"
            )
            for of_scope in of_resource.scope_spans:
                self.spans += [
                    ReceivedSpan(
                        service=service,
                        name=span.name,
                        kind=span.kind,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        links=frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                        attributes={each.key: _value(each.value) for each in span.attributes},
                        failed=span.status.code == span.status.STATUS_CODE_ERROR,
                        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    )
                    for span in of_scope.spans
                ]


def _value(value: AnyValue) -> str | int | float | bool:
    found: str | int | float | bool = getattr(value, value.WhichOneof("value") or "string_value")
    return found


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces" and collector.status == 200:
                collector.authorization = self.headers.get("Authorization")
                collector.receive(body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the library)
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
