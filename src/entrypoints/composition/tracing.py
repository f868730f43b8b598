"""Traces for OpenTelemetry: switched on by its standard variables, if its packages are installed."""

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version

from application.ports.system import Tracer
from entrypoints.settings.model import Settings

_DB_SYSTEMS = {"mongo": "mongodb", "postgres": "postgresql", "sqlserver": "microsoft.sql_server"}
"""OpenTelemetry's names, where they differ from ours."""

_EXPORTER = "OTEL_TRACES_EXPORTER"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingParts:
    """Spans are exported while `exporting` is open."""

    tracer: Tracer
    exporting: AbstractAsyncContextManager[None]


def build_tracing(settings: Settings, process: str) -> TracingParts | None:
    """None unless the environment asks for traces; also, with a warning, if it asks for what Postlog can't do: a
    missing collector stops nothing, and so does this. `process` is the verb of this process."""
    variable = switched_on_by(os.environ)
    if variable is None:
        return None
    obstacle = _obstacle(os.environ)
    if obstacle is not None:
        logger.warning("nothing is traced: %s", obstacle)
        return None
    try:
        from adapters.otel.conventions import Conventions
        from adapters.otel.export import exporting, provider_for
        from adapters.otel.tracer import OtelTracer
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        logger.warning(
            "nothing is traced: %s is set, but OpenTelemetry is not installed; install postlog[otel], or unset the "
            "variable",
            variable,
        )
        return None
    has_kafka = settings.bus.adapter == "kafka"
    conventions = Conventions(
        log=_db_system(settings.event_store.adapter),
        rows=_db_system(settings.read_db.adapter),
        bus="kafka" if has_kafka else None,
        topic=settings.bus.kafka.topic if has_kafka else None,
    )
    try:
        provider = provider_for(f"postlog-{process.replace(' ', '-')}", version("postlog"))
        return TracingParts(tracer=OtelTracer(provider, conventions), exporting=exporting(provider))
    except ValueError as error:
        logger.warning("nothing is traced: OpenTelemetry does not accept its variables OTEL_…: %s", error)
        return None


def tracer_of(parts: TracingParts | None) -> Tracer | None:
    return None if parts is None else parts.tracer


def switched_on_by(environ: Mapping[str, str]) -> str | None:
    """The variable that asks for traces."""
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or environ.get(_EXPORTER, "").strip().lower() == "none":
        return None
    return next((name for name in (_EXPORTER, *_ENDPOINTS) if environ.get(name, "").strip()), None)


def _obstacle(environ: Mapping[str, str]) -> str | None:
    exporter = environ.get(_EXPORTER, "").strip() or "otlp"
    if exporter != "otlp":
        return f"{_EXPORTER} is {exporter}, and Postlog exports spans by otlp only; set it to otlp or none"
    protocol = next((name for name in _PROTOCOLS if environ.get(name, "").strip()), None)
    if protocol is not None and environ[protocol].strip() != "http/protobuf":
        return (
            f"{protocol} is {environ[protocol]}, and Postlog exports spans by http/protobuf only; set it to that, and "
            "the endpoint to the collector's port for HTTP, usually 4318"
        )
    return None


def _db_system(adapter: str) -> str:
    return _DB_SYSTEMS.get(adapter, adapter)
