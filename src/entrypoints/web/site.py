"""All pages, and which of them a path leads to."""

from collections.abc import Sequence
from typing import Any, Protocol

from litestar.types import ASGIApp

from domain.errors import PostlogError
from entrypoints.serving.answers import Answer
from entrypoints.serving.errors import MethodNotAllowed
from entrypoints.serving.paths import instance_of
from entrypoints.serving.routes import HttpRequest
from entrypoints.web.commands import CommandPage
from entrypoints.web.comments import Comments
from entrypoints.web.error_page import error_answer
from entrypoints.web.feed import Feed
from entrypoints.web.files import Files
from entrypoints.web.likes import Likes
from entrypoints.web.log import LogPage
from entrypoints.web.operations import OperationsPage
from entrypoints.web.own_post import OwnPost
from entrypoints.web.post import PostPage
from entrypoints.web.routes import NavigationEntry, Route
from entrypoints.web.same_origin import require_same_origin
from entrypoints.web.services import WebServices
from entrypoints.web.story import Story
from entrypoints.web.visit import Visit
from entrypoints.web.you import You


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
        OwnPost(services),
        Story(services),
        LogPage(services),
        CommandPage(services),
        *operated,
        You(),
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
                return Answer(204, [(b"allow", route.methods.encode("ascii"))])
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

    def error_page(self, error: PostlogError, scope: Any) -> Answer:
        return error_answer(error, self._visit(HttpRequest(scope)))

    def _visit(self, request: HttpRequest) -> Visit:
        return Visit(request, self._services, self._navigation)
