"""`/commands/{id}`: what became of a command, each step of its way and when it was taken, live until it is done."""

from dataclasses import dataclass

from litestar.types import ASGIApp

from application.errors import CommitNotFound
from application.query_side.log_queries import CommitFilter, ListCommits
from application.query_side.trace_queries import TraceCommand
from entrypoints.serving.paths import uuid_segment
from entrypoints.web.live import live
from entrypoints.web.log import LogFilter
from entrypoints.web.routes import Route
from entrypoints.web.services import WebServices
from entrypoints.web.steps import steps_of
from entrypoints.web.visit import Visit, see_other

_SECONDS = 0.1
_NO_FILTER = LogFilter(type="", who="", post="")


@dataclass(frozen=True, slots=True)
class CommandPage:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/commands", show=self.find),
            Route("/commands/{id}", show=self.show),
            Route("/commands/{id}/stream", show=self.stream),
        ]

    async def find(self, visit: Visit) -> ASGIApp:
        """By the position of its commit; without one, the log has all."""
        position = visit.number("position", low=1)
        if position is None:
            return see_other("/log")
        page = await self.services.queries.ask(ListCommits(wanted=CommitFilter(), limit=1, before=position + 1))
        for logged in page.commits:
            if logged.commit.position == position:
                return see_other(f"/commands/{logged.commit.commit_id}")
        raise CommitNotFound(f"The log has no commit at position {position:,}.")

    async def show(self, visit: Visit) -> ASGIApp:
        trace = await self.services.queries.ask(TraceCommand(uuid_segment(visit.request.scope)))
        return await visit.page("command.html", trace=trace, told=steps_of(trace), wanted=_NO_FILTER)

    async def stream(self, visit: Visit) -> ASGIApp:
        query, sent = TraceCommand(uuid_segment(visit.request.scope)), ""

        async def news() -> str:
            nonlocal sent
            trace = await self.services.queries.ask(query)
            html = await visit.part(
                "command.parts.html", whole=True, trace=trace, told=steps_of(trace), wanted=_NO_FILTER
            )
            if html == sent:
                return ""
            sent = html
            return html

        return live(visit, news, _SECONDS)
