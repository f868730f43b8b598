"""Who writes: a name that the visitor chose, kept in a cookie. It is no login; Postlog believes it as it is given."""

from urllib.parse import quote, unquote

from domain.errors import PostlogError
from domain.limits import Limits
from domain.rules import check_name
from entrypoints.serving.request_context import RequestContext

_COOKIE = "postlog_name"
_ATTRIBUTES = "Path=/; HttpOnly; SameSite=Strict"
_YEAR = 365 * 24 * 60 * 60


def chosen_username(exchange: RequestContext, limits: Limits) -> str | None:
    """None when none was chosen, or what the cookie holds can't be a name."""
    for pair in (exchange.header(b"cookie") or "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == _COOKIE:
            return _readable(value, limits)
    return None


def username_cookie(name: str | None) -> tuple[bytes, bytes]:
    """The header that keeps the name, or with None forgets it. Percent-encoded, so that no name can end the header."""
    value, age = (quote(name, safe=""), _YEAR) if name else ("", 0)
    return (b"set-cookie", f"{_COOKIE}={value}; Max-Age={age}; {_ATTRIBUTES}".encode("ascii"))


def _readable(value: str, limits: Limits) -> str | None:
    try:
        name = unquote(value, errors="strict")
        check_name(name, "name", limits)
    except (UnicodeDecodeError, PostlogError):
        return None
    return name
