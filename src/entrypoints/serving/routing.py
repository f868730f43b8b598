"""Routes and paths: how handlers are declared, found and called, and how a path is decoded.

Litestar keeps the table of routes and finds the handler of a path. `CalledHandlers` calls it: a handler is a bound
method of an object that holds what it needs, takes at most an `HttpRequest` and returns an ASGI application, so that
nothing is injected or converted. What Litestar does between a route and its handler costs more than the rest of a small
request.

A path can't be decoded before it is routed: `a%2Fb` would become two segments. So escapes are decoded segment by
segment, and the characters that have a meaning in a path, `/` and `%`, stay escaped until the handler reads the
segment.
"""

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from litestar import Litestar, Request
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Send

from application.errors import MalformedRequest
from domain.ids import CommentId, PostId
from entrypoints.serving.access import AccessControl
from entrypoints.serving.errors import MethodNotAllowed, RouteNotFound
from entrypoints.serving.rate_limit import RateLimiter, key_of
from entrypoints.serving.request_context import context_of

POLLED = frozenset(("/health/live", "/health/ready", "/metrics"))
"""Requested every few seconds by machines: not counted as requests of a caller, and logged at level debug only."""

HttpRequest = Request[Any, Any, Any]

_SLASHES = re.compile("//+")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def get_and_head(path: str) -> HTTPRouteHandler:
    """GET, and HEAD for the same response without its body."""
    return HTTPRouteHandler(path, http_method=["GET", "HEAD"])


class CalledHandlers:
    """The routes of `app` as an ASGI application, for callers whom `access` admits. `scope["path"]` must be routable.
    Errors are raised: `RouteNotFound`, `MethodNotAllowed`, `TooManyRequests`, those of `access` and of handlers."""

    def __init__(
        self, app: Litestar, access: AccessControl | None = None, rate_limiter: RateLimiter | None = None
    ) -> None:
        self._access = access
        self._rate_limiter = rate_limiter
        self._find = app.asgi_router.handle_routing

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        handler = await self._admitted(scope)
        takes_request = handler.parsed_fn_signature.parameters
        response: ASGIApp = await (handler.fn(HttpRequest(scope, receive)) if takes_request else handler.fn())
        await response(scope, receive, send)

    async def _admitted(self, scope: Any) -> Any:
        """The handler of the route. The request counts for its caller also if there is none, or they may not use it."""
        context = context_of(scope)
        try:
            handler = self._handler_of(scope)
            if self._access is not None:
                await self._access.admit(context, handler)
        finally:
            if self._rate_limiter is not None and scope["path"] not in POLLED:
                self._rate_limiter.take(key_of(context))
        return handler

    def _handler_of(self, scope: Any) -> Any:
        try:
            _, handler, scope["path"], scope["path_params"], scope["path_template"] = self._find(
                path=_without_surplus_slashes(scope["path"]), method=scope["method"]
            )
        except NotFoundException:
            raise _route_not_found(scope) from None
        except MethodNotAllowedException as error:
            raise _method_not_allowed(scope, error) from None
        return handler


def _without_surplus_slashes(path: str) -> str:
    path = "/" + path.strip("/")
    return _SLASHES.sub("/", path) if "//" in path else path


def _route_not_found(scope: Any) -> RouteNotFound:
    return RouteNotFound(
        f"There is no path {instance_of(scope)}. The API starts at /api/v1/posts; /docs lists all its paths."
    )


def _method_not_allowed(scope: Any, error: MethodNotAllowedException) -> MethodNotAllowed:
    allowed = ", ".join(sorted((error.headers or {}).get("allow", "").split(", ")))
    return MethodNotAllowed(
        f"{instance_of(scope)} does not allow {scope['method']}; it allows {allowed}. /docs lists all paths.",
        allowed=allowed,
    )


def routable_path(scope: Any) -> str:
    """The path to route by. Raises `MalformedRequest` for a broken escape or text that is not UTF-8."""
    raw: bytes | None = scope.get("raw_path")
    path: str = scope["path"]
    if raw is None:
        return path.replace("%", "%25")
    if b"%" not in raw and raw.isascii():
        return path
    raw = raw.partition(b"?")[0]
    if _BROKEN_ESCAPE.search(raw):
        raise MalformedRequest("The path contains a % that is not followed by two hexadecimal digits; write it as %25.")
    try:
        segments = [unquote_to_bytes(segment).decode() for segment in raw.split(b"/")]
    except UnicodeDecodeError as error:
        raise MalformedRequest("The path is not UTF-8.") from error
    return "/".join(segment.replace("%", "%25").replace("/", "%2F") for segment in segments)


def instance_of(scope: Any) -> str:
    """The path as a URI reference, for the member `instance` of a problem."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return quote(scope["path"])
    return quote(raw.partition(b"?")[0], safe="/%:@!$&'()*+,;=~")


def text_of_segment(scope: Any, name: str) -> str:
    """A segment of the path, decoded."""
    segment: str = scope["path_params"][name]
    return segment.replace("%2F", "/").replace("%25", "%")


def is_uuid(text: str) -> bool:
    """32 hexadecimal digits with hyphens, in upper or lower case."""
    return _UUID.fullmatch(text) is not None


def post_id_segment(scope: Any) -> PostId:
    """Raises `MalformedRequest`."""
    return post_id_of(scope["path_params"]["id"])


def post_id_of(text: str) -> PostId:
    """Raises `MalformedRequest`."""
    return PostId(_uuid(text, "id"))


def uuid_segment(scope: Any) -> str:
    """In lower case. Raises `MalformedRequest`."""
    return _uuid(scope["path_params"]["id"], "id")


def comment_id_segment(scope: Any) -> CommentId:
    """Raises `MalformedRequest`."""
    return CommentId(_uuid(scope["path_params"]["comment_id"], "commentId"))


def _uuid(text: str, path: str) -> str:
    if not is_uuid(text):
        raise MalformedRequest(
            f"{path} is not a UUID; send 32 hexadecimal digits with hyphens, like "
            "0192f0c1-7a3e-7cc2-9d52-3f6f0a1b2c3d.",
            path=path,
        )
    return text.lower()
