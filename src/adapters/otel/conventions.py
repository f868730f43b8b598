"""How steps and their attributes appear in OpenTelemetry: kinds of spans, and names of its semantic conventions."""

from collections.abc import Mapping

from opentelemetry.trace import SpanKind

from application.ports.system import Step

Value = str | float

_NAMES = {
    "error": "error.type",
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "scheme": "url.scheme",
    "messages": "messaging.batch.message_count",
}


class Conventions:
    """`log` and `rows` are the database systems of the log and of the read database, `bus` the messaging system, by
    OpenTelemetry's names. Without a bus, `bus` and `topic` are None."""

    def __init__(self, *, log: str, rows: str, bus: str | None = None, topic: str | None = None) -> None:
        in_log = (SpanKind.CLIENT, {"db.system.name": log})
        in_rows = {"db.system.name": rows}
        on_bus: dict[str, Value] = {}
        if bus is not None and topic is not None:
            on_bus = {"messaging.system": bus, "messaging.destination.name": topic}
        self._topic = topic or ""
        self._steps: dict[Step, tuple[SpanKind, Mapping[str, Value]]] = {
            Step.REQUEST: (SpanKind.SERVER, {}),
            Step.LOAD: in_log,
            Step.APPEND: in_log,
            Step.PUBLISH: (SpanKind.PRODUCER, on_bus | _operation("publish", "send")),
            Step.PROJECT: (SpanKind.CONSUMER, on_bus | _operation("project", "process") | in_rows)
            if on_bus
            else (SpanKind.CLIENT, in_rows),
            Step.READ_ROWS: (SpanKind.CLIENT, in_rows),
        }

    def kind(self, step: Step) -> SpanKind:
        return self._steps[step][0] if step in self._steps else SpanKind.INTERNAL

    def name(self, step: Step, subject: str = "") -> str:
        if step is Step.REQUEST:
            return subject
        if step is Step.PUBLISH:
            subject = self._topic
        return f"{step} {subject}" if subject else step

    def attributes(self, step: Step, given: Mapping[str, Value | None]) -> dict[str, Value]:
        of_step = self._steps[step][1] if step in self._steps else {}
        return {**of_step, **named(given)}


def named(given: Mapping[str, Value | None]) -> dict[str, Value]:
    return {_NAMES.get(name, f"postlog.{name}"): value for name, value in given.items() if value is not None}


def _operation(name: str, kind: str) -> dict[str, Value]:
    return {"messaging.operation.name": name, "messaging.operation.type": kind}
