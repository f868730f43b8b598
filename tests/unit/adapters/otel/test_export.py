"""Spans on their way to a collector: sent from a thread, lost with one warning a minute if it is away, and flushed in
bounded time at the end."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from functools import partial

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from adapters.otel import export
from adapters.otel.conventions import Conventions
from adapters.otel.export import exporting, provider_for
from adapters.otel.tracer import OtelTracer
from application.ports.system import Step
from local.ports import free_port
from otlp import collecting


def tracer_of(provider: TracerProvider) -> OtelTracer:
    return OtelTracer(provider, Conventions(log="sqlite", rows="sqlite"))


class Hanging(SpanExporter):
    """A collector that takes the connection and never answers. `threads` are those that exported."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.threads: set[str] = set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.threads.add(threading.current_thread().name)
        self.ended.wait(20)
        return SpanExportResult.FAILURE


async def test_a_collector_gets_every_span_also_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        provider = provider_for("postlog-test", "1.2.3")
        async with exporting(provider):
            with tracer_of(provider).span(Step.AUDIT):
                pass
        assert [(span.service, span.name) for span in collector.spans] == [("postlog-test", "audit")]


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-posts")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,service.version=9")
    found = provider_for("postlog-run", "1.2.3").resource.attributes
    assert (found["service.name"], found["service.version"]) == ("shop-posts", "9")
    assert found["deployment.environment.name"] == "staging"
    monkeypatch.delenv("OTEL_SERVICE_NAME")
    assert provider_for("postlog-run", "1.2.3").resource.attributes["service.name"] == "postlog-run"


async def test_a_collector_that_is_away_costs_one_warning_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setattr(export, "FLUSH_SECONDS", 0.2)
    provider = provider_for("postlog-test", "1.2.3")
    away = partial(OTLPSpanExporter, f"http://127.0.0.1:{free_port()}/v1/traces", timeout=1.5)
    async with exporting(provider, away):
        for _ in range(5):
            with tracer_of(provider).span(Step.AUDIT):
                pass
            await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            while not caplog.records:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
    failures = [record.getMessage() for record in caplog.records if "could not be exported (" in record.getMessage()]
    assert len(failures) == 1
    assert failures[0].startswith("spans could not be exported (OTEL_EXPORTER_OTLP_ENDPOINT), ")
    assert "Connection refused" in failures[0]
    assert {record.name for record in caplog.records} == {"adapters.otel.export"}


async def test_a_full_queue_loses_spans_and_delays_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")
    monkeypatch.setattr(export, "FLUSH_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    hanging = Hanging()
    provider = provider_for("postlog-test", "1.2.3")
    tracer = tracer_of(provider)
    began = time.monotonic()
    async with exporting(provider, lambda: hanging):
        for _ in range(200):
            with tracer.span(Step.AUDIT):
                pass
        assert time.monotonic() - began < 5
        ending = time.monotonic()
    assert time.monotonic() - ending < 5
    hanging.ended.set()
    assert hanging.threads == {"OtelBatchSpanRecordProcessor"}
    assert [record.getMessage() for record in caplog.records] == [
        "the last spans could not be exported within 0.1 s and are lost"
    ]


@pytest.mark.parametrize("headers", ["Bearer s3cret", "authorization=Bearer%20s3cret%0Ax"])
async def test_headers_that_are_not_valid_are_not_logged(
    headers: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(export, "FLUSH_SECONDS", 0.2)
    provider = provider_for("postlog-test", "1.2.3")
    async with exporting(provider):
        with tracer_of(provider).span(Step.AUDIT):
            pass
        provider.force_flush()
    assert "OTEL_EXPORTER_OTLP_HEADERS is not valid: give name=value" in caplog.text
    assert "s3cret" not in caplog.text


async def test_variables_that_opentelemetry_does_not_accept_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "5")
    provider = provider_for("postlog-test", "1.2.3")
    async with exporting(provider):
        with tracer_of(provider).span(Step.AUDIT):
            pass
    [message] = caplog.messages
    assert message == (
        "no span is exported: OpenTelemetry does not accept its variables OTEL_BSP_…: max_export_batch_size must be "
        "less than or equal to max_queue_size."
    )
