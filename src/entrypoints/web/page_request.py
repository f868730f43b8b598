"""One request for a page: who asks, what for, and the ways to answer.

How a page says where it is: its path, what shows it, and what takes the form that is sent there.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from litestar.types import ASGIApp

from application.errors import MalformedRequest
from entrypoints.serving.request_context import RequestContext, context_of
from entrypoints.serving.responses import Headers, RawResponse
from entrypoints.serving.routing import HttpRequest
from entrypoints.web.forms import Form, read_form
from entrypoints.web.services import WebServices
from entrypoints.web.templates import render
from entrypoints.web.username_cookie import chosen_username

IN_EFFECT = "in-effect"
"""Said in an address of a command that wrote nothing."""

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


@dataclass(frozen=True)
class PageRequest:
    """`navigation` is that of the whole site."""

    request: HttpRequest
    services: WebServices
    navigation: Any = field(repr=False)

    @cached_property
    def exchange(self) -> RequestContext:
        return context_of(self.request.scope)

    @cached_property
    def name(self) -> str | None:
        """The name that the visitor chose."""
        return chosen_username(self.exchange, self.services.limits)

    @property
    def path(self) -> str:
        path: str = self.request.scope["path"]
        return path

    @property
    def address(self) -> str:
        """Path and query, to come back to; ASCII, as it came in."""
        raw: bytes = self.request.scope.get("raw_path") or b"/"
        query: bytes = self.request.scope["query_string"]
        whole = raw.partition(b"?")[0] + (b"?" + query if query else b"")
        return local_address(whole.decode("latin-1"))

    @cached_property
    def query(self) -> dict[str, str]:
        """The last value of each parameter. Those that a page does not know are of no interest to it."""
        text = self.request.scope["query_string"].decode("latin-1")
        try:
            return dict(parse_qsl(text, encoding="utf-8", errors="replace", max_num_fields=_MOST_PARAMETERS))
        except ValueError as error:
            raise MalformedRequest(
                f"The address has more than {_MOST_PARAMETERS} parameters; leave out some."
            ) from error

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
        """The log's position that this page must show at least: that of the visitor's own change."""
        return self.number("position")

    @property
    def notice(self) -> str | None:
        """What came of the form whose answer led here."""
        if self.position is None:
            return None
        if self.query.get("did") == IN_EFFECT:
            return "Already in effect: nothing was written to the log."
        return f"Written to the log at position {self.position:,}."

    @property
    def wrote(self) -> bool:
        """Whether the form whose answer led here has a commit of its own."""
        return self.position is not None and self.query.get("did") != IN_EFFECT

    async def form(self) -> Form:
        form = await read_form(self.request, self.services.max_body_bytes)
        scope: Any = self.request.scope
        scope[_FORM] = form
        return form

    @property
    def draft(self) -> str:
        """The text of the form that was sent, if there was one."""
        scope: Any = self.request.scope
        form: Form | None = scope.get(_FORM)
        return form.text("text") if form else ""

    async def page(
        self, template: str, *, status: int = 200, headers: Headers | None = None, **context: Any
    ) -> RawResponse:
        """`context` is what the template needs beside `visit`, `name`, `now` and `new_key`."""
        return await asyncio.to_thread(self.page_now, template, status, headers or [], context)

    async def part(self, template: str, **context: Any) -> str:
        """HTML without a page around it, for a part that is kept up to date."""
        return (await asyncio.to_thread(self._rendered, template, context)).decode()

    def page_now(self, template: str, status: int, headers: Headers, context: dict[str, Any]) -> RawResponse:
        return RawResponse(status, [*_PAGE_HEADERS, *headers], self._rendered(template, context))

    def _rendered(self, template: str, context: dict[str, Any]) -> bytes:
        shared = {
            "visit": self,
            "name": self.name,
            "now": self.services.clock.now(),
            "new_key": self.services.ids.new,
            "can_write": self.services.commands is not None,
            "limits": self.services.limits,
        }
        return render(template, shared | context)


def see_other(address: str, headers: Headers | None = None) -> RawResponse:
    """After a form: the browser asks for this address, and a reload sends nothing again. `address` is of this site."""
    return RawResponse(303, [(b"location", local_address(address).encode("ascii")), *(headers or [])])


def local_address(address: str) -> str:
    """The address, if it is one of this site; else `/`."""
    return address if _LOCAL.fullmatch(address) else "/"


_NAME = re.compile(r"\{(\w+)\}")

Handler = Callable[[PageRequest], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is written like `/posts/{id}`, with one segment for each name. None: there is nothing to show, or no
    form."""

    path: str
    show: Handler | None = None
    submit: Handler | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(_NAME.sub(r"(?P<\1>[^/]+)", self.path))

    @property
    def methods(self) -> str:
        """As in the header Allow."""
        return ", ".join(
            sorted(("OPTIONS", *(("GET", "HEAD") if self.show else ()), *(("POST",) if self.submit else ())))
        )


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """A page's place in the navigation at the top of every page."""

    path: str
    label: str
