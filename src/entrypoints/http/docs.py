"""The documentation: `/docs` for people, `/docs/try` to send requests from a browser, `/openapi.json` for programs.
Nothing of it is built before it is asked.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec import json

from entrypoints.http.pages import ASSETS, FILES, html_page
from entrypoints.http.services import HttpServices
from entrypoints.serving.answers import JSON, Answer
from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.paths import instance_of, text_segment
from entrypoints.serving.routes import HttpRequest, reading

_TRY = "/docs/try"
_HEAD = (
    f'<link rel="stylesheet" href="{ASSETS}/swagger-ui.css">\n'
    f'<script src="{ASSETS}/swagger-ui-bundle.js" defer></script>\n<script src="{ASSETS}/docs.js" defer></script>\n'
)


@dataclass(frozen=True, slots=True)
class DocsEndpoints:
    services: HttpServices
    _built: dict[str, bytes] = field(default_factory=dict)

    def handlers(self) -> list[HTTPRouteHandler]:
        return [
            reading("/docs")(self.docs),
            reading(_TRY)(self.try_it),
            reading(ASSETS + "/{name:str}")(self.asset),
            reading("/openapi.json")(self.openapi),
        ]

    @staticmethod
    def root_handler() -> HTTPRouteHandler:
        """Where no pages are served, the root leads to the documentation."""

        async def root() -> ASGIApp:
            return Answer(302, [(b"location", b"/docs")])

        return reading("/")(root)

    async def docs(self) -> ASGIApp:
        if "docs" not in self._built:
            from entrypoints.http.openapi.reference import reference_page

            self._built["docs"] = reference_page(self._document(), _TRY).encode()
        return html_page("Postlog API", f'<main class="text">\n{self._built["docs"].decode()}\n</main>')

    async def try_it(self) -> ASGIApp:
        without = '<p>This page needs JavaScript; <a href="/docs">the documentation</a> does not.</p>'
        body = f'<noscript><main class="text"><h1>Try the API</h1>{without}</main></noscript>\n<div id="docs"></div>'
        return html_page("Try the Postlog API", body, head=_HEAD)

    async def asset(self, request: HttpRequest) -> ASGIApp:
        found = await asyncio.to_thread(FILES.answer, text_segment(request.scope, "name"))
        if found is None:
            raise RouteNotFound(f"There is no file {instance_of(request.scope)}.")
        return found

    async def openapi(self) -> ASGIApp:
        if "openapi" not in self._built:
            self._built["openapi"] = json.encode(self._document())
        return Answer(200, [JSON], self._built["openapi"])

    def _document(self) -> Mapping[str, Any]:
        from entrypoints.http.openapi.document import openapi_document

        return openapi_document(self.services)
