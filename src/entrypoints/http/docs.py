"""The documentation: `/docs` for people, `/openapi.json` for programs. Nothing of it is built before it is asked."""

import asyncio
from dataclasses import dataclass, field

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec import json

from entrypoints.http.pages import ASSETS, FILES, html_page
from entrypoints.http.services import HttpServices
from entrypoints.serving.answers import JSON, Answer
from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.paths import instance_of, text_segment
from entrypoints.serving.routes import HttpRequest, reading

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
        return html_page("Postlog API", '<div id="docs"></div>', head=_HEAD)

    async def asset(self, request: HttpRequest) -> ASGIApp:
        found = await asyncio.to_thread(FILES.answer, text_segment(request.scope, "name"))
        if found is None:
            raise RouteNotFound(f"There is no file {instance_of(request.scope)}.")
        return found

    async def openapi(self) -> ASGIApp:
        if "openapi" not in self._built:
            from entrypoints.http.openapi.document import openapi_document

            self._built["openapi"] = json.encode(openapi_document(self.services))
        return Answer(200, [JSON], self._built["openapi"])
