"""When a process traces: the standard variables of OpenTelemetry, and what is said where they ask for too much."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.composition import tracing
from entrypoints.composition.container import container_for
from entrypoints.composition.tracing import build_tracing, switched_on_by
from entrypoints.settings.model import Settings

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, None),
        (ENDPOINT, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": ""}, None),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, None),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, None),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_SERVICE_NAME": "posts", "OTEL_TRACES_SAMPLER": "always_on"}, None),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, None),
    ],
)
def test_an_exporter_or_its_endpoint_switches_traces_on(environ: dict[str, str], variable: str | None) -> None:
    assert switched_on_by(environ) == variable


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER is zipkin, and Postlog exports spans by otlp only; set it to otlp or none",
        ),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and Postlog exports spans by http/protobuf only; set it to that, "
                "and the endpoint to the collector's port for HTTP, usually 4318"
            ),
        ),
    ],
)
def test_what_postlog_can_t_do_is_a_warning(
    environ: dict[str, str], warning: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing.os, "environ", environ)
    assert build_tracing(Settings(), "run") is None
    assert [(each.levelno, each.message) for each in caplog.records] == [
        (logging.WARNING, f"nothing is traced: {warning}")
    ]


def test_without_the_packages_there_is_a_warning_and_no_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in [name for name in sys.modules if name.startswith(("opentelemetry", "adapters.otel"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setattr(tracing.os, "environ", ENDPOINT)
    assert build_tracing(Settings(), "run") is None
    [message] = caplog.messages
    assert message == (
        "nothing is traced: OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed; install "
        "postlog[otel], or unset the variable"
    )


def test_limits_that_opentelemetry_does_not_accept_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "many")
    assert build_tracing(Settings(), "run") is None
    [message] = caplog.messages
    assert message.startswith("nothing is traced: OpenTelemetry does not accept its variables OTEL_…: ")
    assert "OTEL_SPAN_LINK_COUNT_LIMIT" in message


def test_every_object_can_be_built_with_a_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    container = container_for(Settings(), process="serve command")
    parts = container.tracing()
    assert parts is not None
    assert container.tracer() is parts.tracer
    assert type(container.commands()).__name__ == "TracedCommands"


_TRACES = """
import asyncio, json, sys
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import load_settings

async def main():
    container = container_for(load_settings(environ={}).settings)
    async with Resources(container) as resources:
        await resources.open_log()
        await resources.open_read_db()
        for name in ("commands", "follower", "query_dispatcher", "rebuild", "audit"):
            container.providers[name]()

asyncio.run(main())
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} & {"opentelemetry", "requests", "google"})))
"""


@pytest.mark.parametrize("environ", [{}, {"OTEL_SERVICE_NAME": "posts"}, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}])
def test_nothing_of_opentelemetry_is_imported_unless_it_is_asked_for(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, "-c", _TRACES], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    assert json.loads(done.stdout) == []
