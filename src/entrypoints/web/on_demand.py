"""The pages as they are at the start of a process: nothing yet. They are loaded with the first request for one, so that
a start, and a process that nobody looks at, does not pay for them.
"""

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from domain.errors import PostlogError
from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.request_context import context_of
from entrypoints.serving.responses import RawResponse
from entrypoints.serving.routing import HttpRequest, instance_of

if TYPE_CHECKING:
    from entrypoints.web.pages import Site

_METHODS: Any = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
_NOT_PAGES = re.compile(r"/(api|docs|problems|openapi\.json|health|metrics|static)(/|$)")


class PagesOnDemand:
    """The pages that `create_app` is handed. They are asked for every path that nothing else serves."""

    def __init__(self, make: "Callable[[], Site]") -> None:
        self._make = make
        self._site: Site | None = None

    def handlers(self) -> list[HTTPRouteHandler]:
        return [HTTPRouteHandler(["/", "/{rest:path}"], http_method=_METHODS, status_code=200)(self.answer)]

    async def answer(self, request: HttpRequest) -> ASGIApp:
        site = self._site
        if site is None:
            site = await asyncio.to_thread(self._load)
        scope: Any = request.scope
        path: str = scope["path"]
        found = site.find(path)
        if found is None:
            scope["path_template"] = None
            raise RouteNotFound(f"There is nothing at {instance_of(scope)}.")
        route, scope["path_params"] = found
        scope["path_template"] = route.path
        return await site.answer(route, request)

    def error_page(self, error: PostlogError, scope: Any) -> RawResponse | None:
        site = self._site
        is_page = site is not None and site.has(scope.get("path_template"))
        if is_page or _is_lost_browser(scope):
            return self._load().error_page(error, scope)
        return None

    def _load(self) -> "Site":
        if self._site is None:
            self._site = self._make()
        return self._site


def _is_lost_browser(scope: Any) -> bool:
    """On a path that nobody serves."""
    if scope.get("path_template") or _NOT_PAGES.match(scope["path"]):
        return False
    return "text/html" in (context_of(scope).header(b"accept") or "")
