"""A post's events: a page of them, or a stream that goes on."""

from dataclasses import dataclass

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.errors import MalformedRequest
from application.mediator import QueryDispatcher
from application.query_side.queries import ListEvents
from entrypoints.http.event_stream import follow
from entrypoints.http.parameters import AFTER, DEFAULT_EVENTS, EVENTS_PARAMETERS, MAX_EVENTS
from entrypoints.http.paths import POSTS
from entrypoints.http.query_params import read_query
from entrypoints.http.schemas import EventPage
from entrypoints.http.services import HttpServices
from entrypoints.http.views import event_view
from entrypoints.serving.answers import REVALIDATE, json_answer
from entrypoints.serving.event_stream import EVENT_STREAM, event_stream
from entrypoints.serving.exchange import Exchange, exchange_of
from entrypoints.serving.log_changes import LogChanges
from entrypoints.serving.paths import post_id_segment
from entrypoints.serving.routes import HttpRequest, reading


@dataclass(frozen=True, slots=True)
class HistoryEndpoints:
    queries: QueryDispatcher
    services: HttpServices
    changes: LogChanges

    def handlers(self) -> list[HTTPRouteHandler]:
        return [reading(POSTS + "/{id:str}/events")(self.events)]

    async def events(self, request: HttpRequest) -> ASGIApp:
        asked = read_query(request.scope, EVENTS_PARAMETERS)
        query = ListEvents(
            post_id=post_id_segment(request.scope),
            limit=asked.get("limit", DEFAULT_EVENTS),
            after=asked.get("after", 0),
        )
        exchange = exchange_of(request.scope)
        if _wants_stream(exchange):
            return await self._stream(request, query, exchange)
        page = await self.queries.ask(query)
        content = EventPage(events=[event_view(event) for event in page.events], next_after=page.next_after)
        return json_answer(200, content, [REVALIDATE])

    async def _stream(self, request: HttpRequest, query: ListEvents, exchange: Exchange) -> ASGIApp:
        after = _last_event_id(exchange, query.after)
        exchange.activity.require_room_for_stream()
        first = await self.queries.ask(ListEvents(post_id=query.post_id, limit=MAX_EVENTS, after=after))
        return event_stream(request, follow(self.changes, self.services, query.post_id, first, after))


def history_handlers(services: HttpServices, queries: QueryDispatcher) -> list[HTTPRouteHandler]:
    changes = LogChanges(queries, services.stopping, services.poll_seconds)
    return HistoryEndpoints(queries, services, changes).handlers()


def _wants_stream(exchange: Exchange) -> bool:
    """A client that streams asks for nothing else; one that takes anything gets JSON."""
    accepted = (exchange.header(b"accept") or "").lower()
    return any(media.partition(";")[0].strip() == EVENT_STREAM for media in accepted.split(","))


def _last_event_id(exchange: Exchange, after: int) -> int:
    """A client that comes back sends the address it began with, and here the last version it has seen."""
    given = exchange.header(b"last-event-id")
    if not given:
        return after
    try:
        seen: int = AFTER.parse(given)
    except ValueError as error:
        raise MalformedRequest(
            f"Last-Event-ID {error}, the id of the last event seen.", path="Last-Event-ID"
        ) from error
    return seen
