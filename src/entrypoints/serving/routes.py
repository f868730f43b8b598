"""How handlers are declared: bound methods of objects that hold what they need, so that nothing is injected at each
request (Litestar's dependencies cost more than the whole rest of a small request).
"""

from typing import Any

from litestar import Request
from litestar.handlers import HTTPRouteHandler

HttpRequest = Request[Any, Any, Any]


def reading(path: str) -> HTTPRouteHandler:
    """GET, and HEAD for the same without its body."""
    return HTTPRouteHandler(path, http_method=["GET", "HEAD"])
