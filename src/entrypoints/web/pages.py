"""All pages of the site: their routes, the check that forms come from the site itself, and errors as pages."""

import re
from collections.abc import Sequence
from typing import Any, Protocol

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.errors import NotAuthenticated, NotYetVisible, PositionBeyondLog, Unavailable
from domain.errors import PostlogError, RoleRequired
from domain.rules import check_name
from entrypoints.serving.access import Access, challenge, declare
from entrypoints.serving.cross_origin import not_from_here
from entrypoints.serving.errors import MethodNotAllowed, TooManyRequests
from entrypoints.serving.problem_kinds import kind_of
from entrypoints.serving.request_context import RequestContext, context_of
from entrypoints.serving.responses import Headers, RawResponse
from entrypoints.serving.routing import HttpRequest, get_and_head
from entrypoints.web.command_page import CommandPage
from entrypoints.web.comments import Comments
from entrypoints.web.demo_data import DemoData
from entrypoints.web.edit_post import EditPost
from entrypoints.web.feed import Feed
from entrypoints.web.log import LogPage
from entrypoints.web.operations import OperationsPage
from entrypoints.web.page_request import Handler, NavigationEntry, PageRequest, Route, see_other
from entrypoints.web.post import PostPage
from entrypoints.web.services import WebServices
from entrypoints.web.static_files import static_file
from entrypoints.web.username_cookie import username_cookie

_NOT_PAGES = re.compile(r"/(api|docs|problems|openapi\.json|health|metrics|static)(/|$)")


class Page(Protocol):
    def routes(self) -> Sequence[Route]: ...


class Pages:
    def __init__(self, services: WebServices) -> None:
        self._services = services
        pages: list[Page] = [
            Feed(services),
            PostPage(services),
            Comments(services),
            EditPost(services),
            DemoData(services),
            LogPage(services),
            CommandPage(services),
        ]
        self._navigation = [NavigationEntry("/", "Feed"), NavigationEntry("/log", "Log", Access.OPERATE)]
        if services.operations:
            pages.append(OperationsPage(services, services.operations))
            self._navigation.append(NavigationEntry("/operations", "Operations", Access.OPERATE))
        self._routes = [route for page in pages for route in page.routes()]
        if services.access is None:
            self._routes.append(Route("/you", submit=choose_username))
        self._templates = {"/static/{name}", *(route.path.replace(":str}", "}") for route in self._routes)}

    def handlers(self) -> list[HTTPRouteHandler]:
        found = declare(Access.OPEN, [get_and_head("/static/{name:str}")(static_file)])
        for route in self._routes:
            if route.show:
                shown = get_and_head(route.path)(self._shown(route.show))
                found += declare(route.access or Access.READ, [shown], is_page=True)
            if route.submit:
                submitted = HTTPRouteHandler(route.path, http_method="POST")(self._submitted(route.submit))
                found += declare(route.access or Access.WRITE, [submitted], is_page=True)
        return found

    def error_page(self, error: PostlogError, scope: Any) -> RawResponse | None:
        """The error as a page: what happened, and what to do. It shows the text of the form, so that it is not lost.
        None for a request that is not for a page."""
        if not self._is_for_page(scope):
            return None
        kind = kind_of(error)
        request = PageRequest(HttpRequest(scope), self._services, self._navigation)
        context = {
            "title": kind.title,
            "message": error.message,
            "sign_in": isinstance(error, NotAuthenticated),
            "role_required": isinstance(error, RoleRequired),
            "correlation_id": request.context.correlation_id if kind.status >= 500 else None,
            "without_waiting": request.path if isinstance(error, NotYetVisible | PositionBeyondLog) else None,
            "draft": request.draft,
        }
        return request.page_now("error.html", kind.status, _headers(error), context)

    def _shown(self, show: Handler) -> Any:
        async def handler(request: HttpRequest) -> ASGIApp:
            return await show(PageRequest(request, self._services, self._navigation))

        return handler

    def _submitted(self, submit: Handler) -> Any:
        async def handler(request: HttpRequest) -> ASGIApp:
            page_request = PageRequest(request, self._services, self._navigation)
            require_page_of_this_site(page_request.context)
            return await submit(page_request)

        return handler

    def _is_for_page(self, scope: Any) -> bool:
        """On a path of a page, or a browser on a path that nothing serves."""
        template = scope.get("path_template")
        if template:
            return template in self._templates
        return not _NOT_PAGES.match(scope["path"]) and "text/html" in (context_of(scope).header(b"accept") or "")


async def choose_username(request: PageRequest) -> ASGIApp:
    """`/you`: keeps the name that a visitor writes under; an empty name deletes it."""
    form = await request.form()
    name = form.name("name")
    if name:
        check_name(name, "name", request.services.limits)
    return see_other(form.text("back"), [username_cookie(name or None)])


def require_page_of_this_site(context: RequestContext) -> None:
    """The middleware refuses pages of other origins. Programs, which name no origin, use the API. Raises
    `OriginNotAllowed`."""
    if context.header(b"origin") is None and context.header(b"sec-fetch-site") in (None, "none"):
        raise not_from_here(context)


def _headers(error: PostlogError) -> Headers:
    match error:
        case NotAuthenticated():
            return [challenge(error)]
        case Unavailable() | TooManyRequests():
            return [(b"retry-after", b"%d" % error.retry_after)]
        case MethodNotAllowed():
            return [(b"allow", error.allowed.encode("ascii"))]
        case _:
            return []
