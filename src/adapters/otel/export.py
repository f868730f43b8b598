"""Sends spans to a collector by OTLP over HTTP, from a thread of its own: the event loop only puts them into a queue. A
collector that is away costs spans, and a warning a minute, nothing else.

The SDK reads the standard variables `OTEL_…` by itself: address, headers, certificates, sampler, limits, queue.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

FLUSH_SECONDS = 2.0
"""How long the last spans may take when the process ends."""

_WARNING_SECONDS = 60.0
_SDK_LOGS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.util.re",
)
_INVALID_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS is not valid: give name=value, separated by commas, values URL-encoded"

logger = logging.getLogger(__name__)


def provider_for(service: str, version: str) -> TracerProvider:
    """`service` is the name of this process, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` gives another."""
    own = {"service.name": service, "service.version": version, "service.instance.id": str(uuid4())}
    given = OTELResourceDetector().detect().attributes
    return TracerProvider(resource=Resource.create({**own, **given}), shutdown_on_exit=False)


@asynccontextmanager
async def exporting(
    provider: TracerProvider, make_exporter: Callable[[], SpanExporter] = OTLPSpanExporter
) -> AsyncIterator[None]:
    """While the block runs, the provider's spans are exported; after it, none."""
    try:
        provider.add_span_processor(BatchSpanProcessor(ReportedExporter(make_exporter)))
    except ValueError as error:
        logger.warning("no span is exported: OpenTelemetry does not accept its variables OTEL_BSP_…: %s", error)
    try:
        yield
    finally:
        # The SDK may wait for half a minute. A thread that is no daemon would keep the process alive as long.
        flushing = threading.Thread(target=provider.shutdown, name="postlog-last-spans", daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, FLUSH_SECONDS)
        if flushing.is_alive():
            logger.warning("the last spans could not be exported within %g s and are lost", FLUSH_SECONDS)


class ReportedExporter(SpanExporter):
    """Logs failures once a minute, in place of the SDK, which logs every attempt."""

    def __init__(self, make_exporter: Callable[[], SpanExporter]) -> None:
        self._sdk_log = _SdkLog()
        self._exporter = make_exporter()
        self._warned_at = -_WARNING_SECONDS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._warned_at = -_WARNING_SECONDS
            return result
        self._sdk_log.lost += len(spans)
        if time.monotonic() - self._warned_at >= _WARNING_SECONDS:
            self._warned_at = time.monotonic()
            logger.warning(
                "spans could not be exported (OTEL_EXPORTER_OTLP_ENDPOINT), %d are lost so far; nothing else is "
                "affected: %s",
                self._sdk_log.lost,
                self._sdk_log.reason,
            )
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
        self._sdk_log.remove()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _SdkLog(logging.Filter):
    """What the SDK would log of spans that are lost: the last reason, and how many found the queue full. And what it
    must not log: headers, which hold secrets."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""
        self.lost = 0
        for name in _SDK_LOGS:
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        for name in _SDK_LOGS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        match record.name:
            case "opentelemetry.util.re":
                record.msg, record.args = _INVALID_HEADERS, ()
                return True
            case "opentelemetry.sdk._shared_internal":
                is_full = "Queue full" in record.msg
                self.lost += is_full
                return not is_full
            case _:
                self._note(record)
                return False

    def _note(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "header" in message:
            self.reason = _INVALID_HEADERS
        elif len(record.args or ()) > 1 or not self.reason:  # else it says only that it gives up
            self.reason = message
