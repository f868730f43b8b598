"""How a page says where it is: its path, what shows it, and what takes the form that is sent there."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from litestar.types import ASGIApp

from entrypoints.web.visit import Visit

_NAME = re.compile(r"\{(\w+)\}")

Handler = Callable[[Visit], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is written like `/posts/{id}`, with one segment for each name. None: there is nothing to show, or no
    form."""

    path: str
    show: Handler | None = None
    submit: Handler | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(_NAME.sub(r"(?P<\1>[^/]+)", self.path))

    @property
    def methods(self) -> str:
        """As in the header Allow."""
        return ", ".join(
            sorted(("OPTIONS", *(("GET", "HEAD") if self.show else ()), *(("POST",) if self.submit else ())))
        )


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """A page's place in the navigation at the top of every page."""

    path: str
    label: str
