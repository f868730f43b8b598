"""One request for a page, as the handlers of the pages see it: its parameters, its form, its user, and the ways to
respond with HTML."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from litestar.types import ASGIApp

from application.errors import MalformedRequest
from domain.callers import Role
from entrypoints.serving.access import Access
from entrypoints.serving.request_context import RequestContext, context_of
from entrypoints.serving.responses import Headers, RawResponse
from entrypoints.serving.routing import HttpRequest
from entrypoints.web.forms import Form, read_form
from entrypoints.web.services import WebServices
from entrypoints.web.templates import render
from entrypoints.web.username_cookie import username_cookie, username_of

IN_EFFECT = "in-effect"
"""In the address that a form leads to: its command wrote nothing."""

_FORM = "postlog.form"
_MOST_PARAMETERS = 50
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_LOCAL = re.compile(r"/(?:[!-.0-\[\]-~][!-\[\]-~]*)?", re.ASCII)
"""A path of this site, with its query: visible ASCII, no backslash, and no second slash at its beginning, which would
be another server's name."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", POLICY.encode("ascii")),
    (b"referrer-policy", b"same-origin"),  # with no-referrer browsers send forms without their origin
    (b"cache-control", b"private, no-cache"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"vary", b"cookie"),
]


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """A page in the navigation at the top of every page that a caller with this access sees."""

    path: str
    label: str
    access: Access = Access.READ


@dataclass(frozen=True)
class PageRequest:
    http: HttpRequest
    services: WebServices
    navigation: Sequence[NavigationEntry] = field(repr=False)

    @property
    def scope(self) -> Any:
        return self.http.scope

    @cached_property
    def context(self) -> RequestContext:
        return context_of(self.scope)

    @cached_property
    def username(self) -> str | None:
        """The name that the visitor chose; the caller's where callers are known."""
        if self.services.access is not None:
            return self.context.caller.name if self.context.caller else None
        return username_of(self.context, self.services.limits)

    def may(self, access: Access) -> bool:
        return self.services.access is None or self.services.access.admits(self.context.caller, access)

    @property
    def moderates(self) -> bool:
        """Whether the visitor may remove what others wrote."""
        return self.context.caller is not None and self.context.caller.has(Role.MODERATOR)

    def remembering(self, name: str) -> Headers:
        """The cookie that keeps the name that the visitor chose, where callers are not known."""
        return [username_cookie(name)] if self.services.access is None else []

    @property
    def path(self) -> str:
        path: str = self.scope["path"]
        return path

    @property
    def address(self) -> str:
        """Path and query, to return to; ASCII, as received."""
        raw: bytes = self.scope.get("raw_path") or b"/"
        query: bytes = self.scope["query_string"]
        whole = raw.partition(b"?")[0] + (b"?" + query if query else b"")
        return local_address(whole.decode("latin-1"))

    @cached_property
    def query(self) -> dict[str, str]:
        """The last value of each parameter. Pages ignore parameters that they do not know."""
        text = self.scope["query_string"].decode("latin-1")
        try:
            return dict(parse_qsl(text, encoding="utf-8", errors="replace", max_num_fields=_MOST_PARAMETERS))
        except ValueError as error:
            raise MalformedRequest(f"The address has more than {_MOST_PARAMETERS} parameters; remove some.") from error

    def number(self, name: str, low: int = 0) -> int | None:
        """A whole number of the query; None when it is missing. Raises `MalformedRequest`."""
        value = self.query.get(name)
        if not value:
            return None
        if _NUMBER.fullmatch(value) is None or int(value) < low:
            raise MalformedRequest(f"{name} in the address takes a whole number from {low:,}.", path=name)
        return int(value)

    @property
    def position(self) -> int | None:
        """The position of the log that the page must show at least: that of the visitor's own change."""
        return self.number("position")

    @property
    def notice(self) -> str | None:
        """The result of the form that led to this page."""
        if self.position is None:
            return None
        if self.query.get("did") == IN_EFFECT:
            return "Already in effect; nothing was written to the log."
        return f"Written to the log at position {self.position:,}."

    @property
    def wrote(self) -> bool:
        """Whether the form that led to this page wrote a commit."""
        return self.position is not None and self.query.get("did") != IN_EFFECT

    async def form(self) -> Form:
        form = await read_form(self.http, self.services.max_body_bytes)
        self.scope[_FORM] = form
        return form

    @property
    def draft(self) -> str:
        """The text of the form that was sent, if any."""
        form: Form | None = self.scope.get(_FORM)
        return form.text("text") if form else ""

    async def page(
        self, template: str, *, status: int = 200, headers: Headers | None = None, **context: Any
    ) -> RawResponse:
        """`context` is what the template needs beside `request`, `name`, `now` and `new_key`."""
        return await asyncio.to_thread(self.page_now, template, status, headers or [], context)

    async def part(self, template: str, **context: Any) -> str:
        """HTML without a page around it, for a part that is updated live."""
        return (await asyncio.to_thread(self._rendered, template, context)).decode()

    def page_now(self, template: str, status: int, headers: Headers, context: dict[str, Any]) -> RawResponse:
        return RawResponse(status, [*_PAGE_HEADERS, *headers], self._rendered(template, context))

    def _rendered(self, template: str, context: dict[str, Any]) -> bytes:
        shared = {
            "request": self,
            "name": self.username,
            "now": self.services.clock.now(),
            "new_key": self.services.ids.new,
            "can_write": self.services.commands is not None and self.may(Access.WRITE),
            "can_import": self.services.commands is not None and self.may(Access.IMPORT),
            "access": self.services.access,
            "limits": self.services.limits,
        }
        return render(template, shared | context)


Handler = Callable[[PageRequest], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Route:
    """`show` serves GET and HEAD, `submit` takes the form that is posted there. Segments of `path` are written as in
    `/posts/{id:str}`. `access` is that of queries and commands if it is None."""

    path: str
    show: Handler | None = None
    submit: Handler | None = None
    access: Access | None = None


def see_other(address: str, headers: Headers | None = None) -> RawResponse:
    """The response to a form: the browser loads `address`, so that a reload sends nothing again."""
    return RawResponse(303, [(b"location", local_address(address).encode("ascii")), *(headers or [])])


def local_address(address: str) -> str:
    """The address if it belongs to this site, else `/`."""
    return address if _LOCAL.fullmatch(address) else "/"
