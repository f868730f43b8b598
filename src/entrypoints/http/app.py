"""The HTTP application, built from its services. It has no lifespan: the composition root opens and closes them."""

from collections.abc import Iterable

from litestar import Litestar
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from entrypoints.http.commands import CommandEndpoints
from entrypoints.http.docs import DocsEndpoints, ProblemPages
from entrypoints.http.events import EventsEndpoint
from entrypoints.http.health import HealthEndpoints
from entrypoints.http.middleware import RequestMiddleware
from entrypoints.http.operations import ReadDbEndpoint, RebuildEndpoints
from entrypoints.http.problems import ErrorResponses, Pages
from entrypoints.http.queries import QueryEndpoints
from entrypoints.http.services import HttpServices
from entrypoints.http.tracing import TracedRequests
from entrypoints.optional_imports import as_if_not_installed
from entrypoints.serving.access import Access, declare
from entrypoints.serving.request_context import InFlight
from entrypoints.serving.responses import RawResponse
from entrypoints.serving.routing import CalledHandlers

IN_FLIGHT = "in_flight"
"""Where the application's state holds its `InFlight`."""


def create_app(services: HttpServices, pages: Pages | None = None) -> Litestar:
    handlers = _handlers(services)
    page_handlers = pages.handlers() if pages else declare(Access.OPEN, [DocsEndpoints.root_handler()])
    in_flight = InFlight(services.serving)
    with as_if_not_installed("attr", "opentelemetry", "pydantic"):  # for plugins that no handler here needs
        app = Litestar(
            [*_options([*handlers, *page_handlers]), *handlers, *page_handlers],
            openapi_config=None,
            logging_config=None,
            state=State({IN_FLIGHT: in_flight}, deep_copy=False),
        )
    requests = RequestMiddleware(
        CalledHandlers(app, services.access, services.rate_limiter), services, in_flight, ErrorResponses(pages)
    )
    app.asgi_handler = requests if services.tracer is None else TracedRequests(requests, services.tracer)
    return app


def _handlers(services: HttpServices) -> list[HTTPRouteHandler]:
    handlers = declare(
        Access.OPEN,
        [
            *DocsEndpoints(services).handlers(),
            *ProblemPages().handlers(),
            *HealthEndpoints(services).handlers(),
        ],
    )
    if services.commands is not None:
        handlers += declare(Access.WRITE, CommandEndpoints(services, services.commands).handlers())
    if services.queries is not None:
        handlers += declare(Access.READ, QueryEndpoints(services.queries).handlers())
        handlers += declare(Access.READ, EventsEndpoint(services, services.queries).handlers())
        if services.operations:
            handlers += declare(Access.OPERATE, ReadDbEndpoint(services.queries).handlers())
            if services.rebuilds is not None:
                rebuilds = RebuildEndpoints(services.rebuilds, services.max_body_bytes)
                handlers += declare(Access.OPERATE, rebuilds.handlers())
    return handlers


def _options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """OPTIONS for every path. Litestar's own names the methods of the path's first handler only."""
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    found = [_options_of(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]
    return declare(Access.OPEN, found)


def _options_of(path: str, allowed: str) -> HTTPRouteHandler:
    async def options() -> ASGIApp:
        return RawResponse(204, [(b"allow", allowed.encode("ascii"))])

    return HTTPRouteHandler(path, http_method="OPTIONS", name=f"OPTIONS {path}")(options)
