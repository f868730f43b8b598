"""The one layer around the application: every request and response passes it, also on unknown paths.

It parses the request's context (correlation id, headers, peer), refuses what pages of other sites may not send, makes
its path routable, logs one line, records one measurement, and turns errors that no handler caught into problems.
"""

import asyncio
import logging
import re
from collections import Counter
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from application.errors import MalformedRequest
from domain.errors import PostlogError
from entrypoints.http.problems import ErrorResponses, internal_error
from entrypoints.http.services import HttpServices
from entrypoints.serving.request_context import InFlight, RequestContext, attach
from entrypoints.serving.responses import RawResponse
from entrypoints.serving.routing import POLLED, routable_path

CORRELATION_ID = b"x-correlation-id"

_VALID_ID = re.compile(rb"[!-~]{1,128}")
_VALID_HOST = re.compile(rb"[0-9A-Za-z!$&'()*+,;=\-._~:\[\]@%]*")
METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_ONCE = {
    name.lower().encode("ascii"): name
    for name in (
        "Authorization",
        "Content-Length",
        "Content-Type",
        "Host",
        "Idempotency-Key",
        "Last-Event-ID",
        "Origin",
        "Postlog-Min-Position",
        "Sec-Fetch-Site",
    )
}
"""Headers that a request has once. Of two, one program on the way might use the first and another the last."""

SERVER_ERRORS = 500
_WARNING_SECONDS = 5.0
"""Between two warnings of the same problem: while a store is away, every request has it."""

logger = logging.getLogger(__name__)


class _Failures:
    """Requests with a status of 5xx, by the code of the problem."""

    def __init__(self) -> None:
        self._warned_at: dict[str, float] = {}
        self._since: Counter[str] = Counter()

    def level_of(self, code: str, now: float) -> tuple[int, dict[str, object]]:
        """A warning at most every few seconds, with the number of the same since the last one; the others are logged
        like any request."""
        if now - self._warned_at.get(code, -_WARNING_SECONDS) < _WARNING_SECONDS:
            self._since[code] += 1
            return logging.INFO, {}
        self._warned_at[code] = now
        return logging.WARNING, {"more_since_last_warning": self._since.pop(code, 0)}


class RequestMiddleware:
    def __init__(self, app: ASGIApp, services: HttpServices, in_flight: InFlight, errors: ErrorResponses) -> None:
        self._app = app
        self._errors = errors
        self._clock = services.clock
        self._ids = services.ids
        self._metrics = services.metrics
        self._in_flight = in_flight
        self._stopping = services.stopping
        self._cross_origin = services.cross_origin
        self._failures = _Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = self._clock.monotonic()
        context = self._context(scope)
        tokens = bind_contextvars(correlation_id=context.correlation_id)
        self._in_flight.working += 1
        self._in_flight.peers.add(context.peer)
        if self._in_flight.records_served:
            self._in_flight.served.add(context.peer)
        try:
            await self._respond(context, scope, receive, self._sender(context, send))
        finally:
            self._in_flight.working -= 1
            self._in_flight.peers.discard(context.peer)
            self._record(scope, context, self._clock.monotonic() - started)
            reset_contextvars(**tokens)

    def _context(self, scope: Any) -> RequestContext:
        headers = dict(scope["headers"])
        given = headers.get(CORRELATION_ID)
        valid = given is not None and _VALID_ID.fullmatch(given)
        correlation_id = given.decode("ascii") if given is not None and valid else self._ids.new()
        host, port = scope.get("client") or ("", "")
        context = RequestContext(
            scope["method"], headers, scope["headers"], correlation_id, self._in_flight, (host, str(port))
        )
        attach(context, scope)
        return context

    async def _respond(self, context: RequestContext, scope: Any, receive: Receive, send: Send) -> None:
        try:
            _require_unambiguous_headers(scope, context)
            self._cross_origin.require_known_host(context, scope)
            scope["path"] = routable_path(scope)
            self._cross_origin.require_own_origin(context)
            allowed = self._cross_origin.preflight(context)
            await (self._app if allowed is None else RawResponse(204, allowed))(scope, receive, send)
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise  # else the process is stopping and no one waits for this request
        except Exception as error:
            known = error if isinstance(error, PostlogError) else internal_error(error)
            if context.status is not None:
                raise  # the response has started: the server can only close the connection
            await self._errors.response(known, scope)(scope, receive, send)

    def _record(self, scope: Any, context: RequestContext, seconds: float) -> None:
        method = context.method if context.method in METHODS else "other"
        route = scope.get("path_template") or "unknown"
        status = context.status or 0
        self._metrics.observe("http_request_seconds", seconds, method=method, route=route, status=str(status))
        if context.code is not None:
            self._metrics.count("http_problems", code=context.code)
        level = logging.DEBUG if route in POLLED else logging.INFO
        line: dict[str, object] = {}
        if level == logging.INFO and status >= SERVER_ERRORS:
            level, line = self._failures.level_of(context.code or str(status), self._clock.monotonic())
        if logger.isEnabledFor(level):
            line |= {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 2)}
            if context.code is not None:
                line["problem"] = context.code
            logger.log(level, "request", extra=line | {"correlation_id": context.correlation_id})

    def _sender(self, context: RequestContext, send: Send) -> Send:
        named = (CORRELATION_ID, context.correlation_id.encode("ascii"))
        without_body = context.method == "HEAD"

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                cross_origin = self._cross_origin.headers(context)
                message["headers"] = [*message["headers"], named, _NO_SNIFFING, *cross_origin]
            elif without_body and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        return send_named


def _require_unambiguous_headers(scope: Any, context: RequestContext) -> None:
    """Raises `MalformedRequest`."""
    if len(context.headers) != len(context.header_lines):
        times = Counter(name for name, _ in context.header_lines)
        for name, shown in _ONCE.items():
            if times[name] > 1:
                raise MalformedRequest(f"The header {shown} was sent {times[name]} times; send it once.", path=shown)
    host = context.headers.get(b"host")
    if host is None and scope.get("http_version") == "1.1":
        raise MalformedRequest("The header Host is missing; HTTP/1.1 requires it.", path="Host")
    if host is not None and _VALID_HOST.fullmatch(host) is None:
        raise MalformedRequest("Invalid host header.")
