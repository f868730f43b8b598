"""Pages about the API: `/docs` for people, `/docs/try` to send requests from a browser, `/openapi.json` for programs,
and `/problems/<code>` with the meaning of each problem and what to do about it.

They are shipped with the package, so that no page needs another server, and built when they are first requested.
"""

import asyncio
from functools import cached_property
from html import escape
from pathlib import Path

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec import json

from entrypoints.http.openapi.document import openapi_document
from entrypoints.http.openapi.reference import reference_page
from entrypoints.http.services import HttpServices
from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.problem_kinds import PROBLEM_KINDS, ProblemKind
from entrypoints.serving.request_context import context_of
from entrypoints.serving.responses import JSON, RawResponse, StaticFiles
from entrypoints.serving.routing import HttpRequest, get_and_head, instance_of, text_of_segment

ASSETS = "/docs/assets"

_FILES = {
    "docs.js": "docs.js",
    "pages.css": "pages.css",
    "swagger-ui-bundle.js": "vendor/swagger-ui-bundle.js",
    "swagger-ui.css": "vendor/swagger-ui.css",
}
FILES = StaticFiles(Path(__file__).parent / "static", _FILES)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_VARY = (b"vary", b"accept")


_TRY_PATH = "/docs/try"
_HEAD = (
    f'<link rel="stylesheet" href="{ASSETS}/swagger-ui.css">\n'
    f'<script src="{ASSETS}/swagger-ui-bundle.js" defer></script>\n<script src="{ASSETS}/docs.js" defer></script>\n'
)


class DocsEndpoints:
    def __init__(self, services: HttpServices) -> None:
        self._services = services

    def handlers(self) -> list[HTTPRouteHandler]:
        return [
            get_and_head("/docs")(self.docs),
            get_and_head(_TRY_PATH)(self.try_it),
            get_and_head(ASSETS + "/{name:str}")(self.asset),
            get_and_head("/openapi.json")(self.openapi),
        ]

    @staticmethod
    def root_handler() -> HTTPRouteHandler:
        """Where no pages are served, the root redirects to the documentation."""

        async def root() -> ASGIApp:
            return RawResponse(302, [(b"location", b"/docs")])

        return get_and_head("/")(root)

    async def docs(self) -> ASGIApp:
        return html_page("Postlog API", f'<main class="text">\n{self._reference}\n</main>')

    async def try_it(self) -> ASGIApp:
        without = '<p>This page needs JavaScript; <a href="/docs">the documentation</a> does not.</p>'
        body = f'<noscript><main class="text"><h1>Try the API</h1>{without}</main></noscript>\n<div id="docs"></div>'
        return html_page("Try the Postlog API", body, head=_HEAD)

    async def asset(self, request: HttpRequest) -> ASGIApp:
        found = await asyncio.to_thread(FILES.response, text_of_segment(request.scope, "name"))
        if found is None:
            raise RouteNotFound(f"There is no file {instance_of(request.scope)}.")
        return found

    async def openapi(self) -> ASGIApp:
        return RawResponse(200, [JSON], self._openapi)

    @cached_property
    def _openapi(self) -> bytes:
        return json.encode(openapi_document(self._services))

    @cached_property
    def _reference(self) -> str:
        return reference_page(openapi_document(self._services), _TRY_PATH)


class ProblemPages:
    def handlers(self) -> list[HTTPRouteHandler]:
        return [
            get_and_head("/problems")(self.index),
            get_and_head("/problems/{code:str}")(self.page),
        ]

    async def index(self, request: HttpRequest) -> ASGIApp:
        kinds = sorted(PROBLEM_KINDS.values(), key=lambda kind: (kind.status, kind.code))
        match _wanted(request):
            case "html":
                rows = "\n".join(
                    f'<tr><td>{kind.status}</td><td><a href="{kind.type}">{kind.code}</a></td>'
                    f"<td>{escape(kind.title)}</td></tr>"
                    for kind in kinds
                )
                table = f"<table>\n<tr><th>status</th><th>code</th><th>title</th></tr>\n{rows}\n</table>"
                return html_page("Problems", f'<main class="text">\n<h1>Problems</h1>\n{table}\n</main>')
            case "json":
                return _json({"problems": [_described(kind) for kind in kinds]})
            case _:
                return _plain("\n".join(f"{kind.status} {kind.code}: {kind.title}" for kind in kinds))

    async def page(self, request: HttpRequest) -> ASGIApp:
        kind = PROBLEM_KINDS.get(text_of_segment(request.scope, "code"))
        if kind is None:
            raise RouteNotFound(f"There is no problem {instance_of(request.scope)}; /problems lists all of them.")
        match _wanted(request):
            case "html":
                body = (
                    f'<main class="text">\n<h1>{escape(kind.title)}</h1>\n<p>{escape(kind.advice)}</p>\n'
                    f'<p>Status {kind.status}, code <code>{kind.code}</code>. <a href="/problems">All problems</a>, '
                    '<a href="/docs">documentation</a>.</p>\n</main>'
                )
                return html_page(kind.title, body)
            case "json":
                return _json(_described(kind))
            case _:
                return _plain(f"{kind.title} (status {kind.status}, code {kind.code}).\n{kind.advice}")


def _wanted(request: HttpRequest) -> str:
    accepted = context_of(request.scope).header(b"accept") or ""
    if "text/html" in accepted:
        return "html"
    return "json" if "json" in accepted else "plain"


def _described(kind: ProblemKind) -> dict[str, str | int]:
    return {
        "type": kind.type,
        "code": kind.code,
        "status": kind.status,
        "title": kind.title,
        "advice": kind.advice,
    }


def _json(content: object) -> RawResponse:
    return RawResponse(200, [JSON, _VARY], json.encode(content))


def _plain(text: str) -> RawResponse:
    return RawResponse(200, [(b"content-type", b"text/plain; charset=utf-8"), _VARY], f"{text}\n".encode())


def html_page(title: str, body: str, *, head: str = "") -> RawResponse:
    """`title` is text; `body` and `head` are HTML."""
    page = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f'<link rel="stylesheet" href="{ASSETS}/pages.css">\n{head}</head>\n<body>\n{body}\n</body>\n</html>\n'
    )
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _POLICY.encode("ascii")),
        (b"referrer-policy", b"no-referrer"),
        _VARY,
    ]
    return RawResponse(200, headers, page.encode())
