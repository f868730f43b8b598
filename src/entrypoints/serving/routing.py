"""Routes and paths: how handlers are declared, and how a path is decoded.

Handlers are bound methods of objects that hold what they need, so that nothing is injected for each request: Litestar's
dependencies cost more than the rest of a small request.

A path can't be decoded before it is routed: `a%2Fb` would become two segments. So escapes are decoded segment by
segment, and the characters that have a meaning in a path, `/` and `%`, stay escaped until the handler reads the
segment.
"""

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from litestar import Request
from litestar.handlers import HTTPRouteHandler

from application.errors import MalformedRequest
from domain.ids import CommentId, PostId

HttpRequest = Request[Any, Any, Any]

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def get_and_head(path: str) -> HTTPRouteHandler:
    """GET, and HEAD for the same response without its body."""
    return HTTPRouteHandler(path, http_method=["GET", "HEAD"])


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
