"""Pages for people beside the API, as the application sees them. The composition root brings the two together."""

from collections.abc import Sequence
from typing import Protocol

from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from domain.errors import PostlogError
from entrypoints.serving.answers import Answer


class Pages(Protocol):
    def handlers(self) -> Sequence[HTTPRouteHandler]: ...

    def error_page(self, error: PostlogError, scope: Scope) -> Answer | None:
        """The error as a page, for a browser on a path of the pages or on none at all; None for every other request,
        which is then answered with a problem."""
        ...
