"""`/log`: the newest commits, updated live, filtered by event type, author or post; older ones page by page."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from litestar.types import ASGIApp

from application.query_side.log import CommitFilter, ListCommits, ListNewCommits
from domain.event_types import CURRENT
from domain.ids import PostId
from entrypoints.serving.access import Access
from entrypoints.serving.routing import is_uuid
from entrypoints.web.live import live
from entrypoints.web.page_request import PageRequest, Route
from entrypoints.web.services import WebServices

_COMMITS = 50
_NEW_AT_ONCE = 50
_TYPES = tuple(event_type.name for event_type in CURRENT)
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The filter, as the form writes it into the address. `post` is what was typed, which may be no id."""

    type: str
    who: str
    post: str

    @property
    def given(self) -> dict[str, str]:
        values = {"type": self.type, "who": self.who, "post": self.post}
        return {name: value for name, value in values.items() if value}

    @property
    def wanted(self) -> CommitFilter:
        return CommitFilter(
            event_type=self.type or None,
            actor=self.who or None,
            post_id=PostId(self.post.lower()) if self.post else None,
        )

    @property
    def is_possible(self) -> bool:
        return not self.post or is_uuid(self.post)

    def address(self, path: str = "/log", more: Mapping[str, object] = {}) -> str:
        query = urlencode(self.given | dict(more))
        return f"{path}?{query}" if query else path


@dataclass(frozen=True, slots=True)
class LogPage:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/log", show=self.show, access=Access.OPERATE),
            Route("/log/stream", show=self.stream, access=Access.OPERATE),
        ]

    async def show(self, request: PageRequest) -> ASGIApp:
        wanted, before = _filter_of(request), request.number("before", low=1)
        page = None
        if wanted.is_possible:
            page = await self.services.queries.ask(
                ListCommits(wanted=wanted.wanted, limit=_COMMITS, before=before),
            )
        return await request.page("log.html", wanted=wanted, types=_TYPES, page=page, is_newest=before is None)

    async def stream(self, request: PageRequest) -> ASGIApp:
        wanted, after = _filter_of(request), request.number("after") or 0

        async def news() -> str:
            nonlocal after
            if not wanted.is_possible:
                return ""
            new = await self.services.queries.ask(
                ListNewCommits(wanted=wanted.wanted, limit=_NEW_AT_ONCE, after=after),
            )
            after = new.position
            if not new.commits and not new.skipped:
                return ""
            return await request.part("log.commits.html", wanted=wanted, new=new)

        return live(request, news, self.services.poll_seconds)


def _filter_of(request: PageRequest) -> LogFilter:
    texts = {name: request.query.get(name, "").strip()[:_LONGEST_NAME] for name in ("type", "who", "post")}
    return LogFilter(**texts)
