"""The name that a visitor writes under, kept in a cookie. It is not a login: Postlog does not verify it."""

from urllib.parse import quote, unquote

from domain.errors import PostlogError
from domain.limits import Limits
from domain.rules import check_name
from entrypoints.serving.authenticators import cookie_of
from entrypoints.serving.request_context import RequestContext

_COOKIE = "postlog_name"
_ATTRIBUTES = "Path=/; HttpOnly; SameSite=Strict"
_YEAR = 365 * 24 * 60 * 60


def username_of(context: RequestContext, limits: Limits) -> str | None:
    """None when no name was chosen, or the cookie's value is not a valid name."""
    value = cookie_of(context, _COOKIE)
    return None if value is None else _valid_name(value, limits)


def username_cookie(name: str | None) -> tuple[bytes, bytes]:
    """The header that sets the cookie, or with None deletes it. The name is percent-encoded, so that it can't end the
    header."""
    value, age = (quote(name, safe=""), _YEAR) if name else ("", 0)
    return (b"set-cookie", f"{_COOKIE}={value}; Max-Age={age}; {_ATTRIBUTES}".encode("ascii"))


def _valid_name(value: str, limits: Limits) -> str | None:
    try:
        name = unquote(value, errors="strict")
        check_name(name, "name", limits)
    except (UnicodeDecodeError, PostlogError):
        return None
    return name
