"""The span of a request, around everything that serves it; it continues the trace of its caller. Only there if this
process has a tracer.

It has the route in place of the path, and no header: those may hold what nobody should read in a trace.
"""

from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from application.ports.system import Span, Step, Tracer
from entrypoints.http.middleware import METHODS, SERVER_ERRORS
from entrypoints.serving.event_stream import EVENT_STREAM
from entrypoints.serving.request_context import context_of
from entrypoints.serving.routing import POLLED


class TracedRequests:
    """Log lines of a request get its `trace_id`. Event streams are not traced: they have no end that anybody waits for,
    and the work that they begin continues for other streams."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if not _is_traced(scope):
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        parent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        with self._tracer.span(Step.REQUEST, method, parent=parent, method=method, scheme=scope.get("scheme")) as span:
            tokens = bind_contextvars(trace_id=span.traceparent.split("-")[1])
            try:
                await self._app(scope, receive, send)
            finally:
                reset_contextvars(**tokens)
                _describe(span, method, scope)


def _is_traced(scope: Any) -> bool:
    if scope["type"] != ScopeType.HTTP or scope["path"] in POLLED:
        return False
    accepted = dict(scope["headers"]).get(b"accept", b"")
    return EVENT_STREAM.encode() not in accepted.lower()


def _describe(span: Span, method: str, scope: Any) -> None:
    context = context_of(scope)
    route = scope.get("path_template") or None
    if route is not None:
        span.rename(f"{method} {route}")
    span.set(route=route, status=context.status, problem=context.code)
    if (context.status or 0) >= SERVER_ERRORS:
        span.fail(context.code or str(context.status))
