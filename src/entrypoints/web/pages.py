"""All pages, and which of them a path leads to.

An error as a page: what happened, and what to do. What was written in the form is shown, so that it isn't lost.

Forms are taken from this site's own pages only. The browser itself says where a form was sent from, so no token has
to be kept: `Sec-Fetch-Site` (all current browsers), else `Origin` (all others since 2020), which pages can't forge.

`/static/…`: what the pages need beside their HTML.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from litestar.types import ASGIApp

from application.errors import NotYetVisible, PositionBeyondLog, Unavailable
from domain.errors import NotAllowed, PostlogError
from entrypoints.serving.errors import MethodNotAllowed, RouteNotFound
from entrypoints.serving.problem_kinds import kind_of
from entrypoints.serving.request_context import RequestContext
from entrypoints.serving.responses import Headers, RawResponse
from entrypoints.serving.routing import HttpRequest, instance_of, text_of_segment
from entrypoints.web.command_page import CommandPage
from entrypoints.web.comments import Comments
from entrypoints.web.demo_data import DemoData
from entrypoints.web.edit_post import EditPost
from entrypoints.web.feed import Feed
from entrypoints.web.log import LogPage
from entrypoints.web.operations import OperationsPage
from entrypoints.web.page_request import NavigationEntry, PageRequest, Route
from entrypoints.web.post import Likes, PostPage
from entrypoints.web.services import WebServices
from entrypoints.web.static_files import file_answer
from entrypoints.web.username_page import UsernamePage


class PageModule(Protocol):
    def routes(self) -> Sequence[Route]: ...


def page_modules(services: WebServices) -> list[PageModule]:
    """THE list: every file of this room that serves paths."""
    operated = [OperationsPage(services, services.operations)] if services.operations else []
    return [
        Feed(services),
        PostPage(services),
        Likes(),
        Comments(services),
        EditPost(services),
        DemoData(services),
        LogPage(services),
        CommandPage(services),
        *operated,
        UsernamePage(),
        Files(),
    ]


def navigation(services: WebServices) -> list[NavigationEntry]:
    """What the top of every page leads to."""
    operated = [NavigationEntry("/operations", "Operations")] if services.operations else []
    return [NavigationEntry("/", "Feed"), NavigationEntry("/log", "Log"), *operated]


class Site:
    """All pages together."""

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._routes = {route.path: route for module in page_modules(services) for route in module.routes()}
        self._patterns = [(route.pattern, route) for route in self._routes.values()]
        self._navigation = navigation(services)

    def has(self, path: str | None) -> bool:
        """`path` is a route's."""
        return path in self._routes

    def find(self, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a request's path, with the values of its names."""
        for pattern, route in self._patterns:
            if match := pattern.fullmatch(path):
                return route, match.groupdict()
        return None

    async def answer(self, route: Route, request: HttpRequest) -> ASGIApp:
        visit = self._visit(request)
        match visit.exchange.method:
            case "OPTIONS":
                return RawResponse(204, [(b"allow", route.methods.encode("ascii"))])
            case "POST" if route.submit:
                require_same_origin(visit.exchange)
                return await route.submit(visit)
            case "GET" | "HEAD" if route.show:
                return await route.show(visit)
            case method:
                raise MethodNotAllowed(
                    f"{instance_of(request.scope)} does not know the method {method}; it knows {route.methods}.",
                    allowed=route.methods,
                )

    def error_page(self, error: PostlogError, scope: Any) -> RawResponse:
        return error_answer(error, self._visit(HttpRequest(scope)))

    def _visit(self, request: HttpRequest) -> PageRequest:
        return PageRequest(request, self._services, self._navigation)


def error_answer(error: PostlogError, visit: PageRequest) -> RawResponse:
    kind = kind_of(error)
    context = {
        "title": kind.title,
        "message": error.message,
        "correlation_id": visit.exchange.correlation_id if kind.status >= 500 else None,
        "without_waiting": visit.path if isinstance(error, NotYetVisible | PositionBeyondLog) else None,
        "draft": visit.draft,
    }
    return visit.page_now("error.html", kind.status, _headers(error), context)


def _headers(error: PostlogError) -> Headers:
    match error:
        case Unavailable():
            return [(b"retry-after", b"%d" % error.retry_after)]
        case MethodNotAllowed():
            return [(b"allow", error.allowed.encode("ascii"))]
        case _:
            return []


def require_same_origin(exchange: RequestContext) -> None:
    """Raises `NotAllowed`. Another port of this machine is another site, though browsers call it the same one."""
    fetched_from = exchange.header(b"sec-fetch-site")
    allowed = fetched_from == "same-origin" if fetched_from is not None else _origin_is_host(exchange)
    if not allowed:
        raise NotAllowed(
            "This form was not sent from a page of this service, so it was not taken. Open the page here, and send it "
            "again. Programs use the API under /api/v1."
        )


def _origin_is_host(exchange: RequestContext) -> bool:
    origin, host = exchange.header(b"origin"), exchange.header(b"host")
    if origin is None or host is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # such as "http://[": no browser sends it
        return False


class Files:
    def routes(self) -> list[Route]:
        return [Route("/static/{name}", show=self.file)]

    async def file(self, visit: PageRequest) -> ASGIApp:
        scope = visit.request.scope
        query = scope["query_string"].decode("latin-1")
        found = await asyncio.to_thread(file_answer, text_of_segment(scope, "name"), query)
        if found is None:
            raise RouteNotFound(f"There is no file {instance_of(scope)}.")
        return found
