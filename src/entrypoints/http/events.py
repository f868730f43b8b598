"""A post's events: a page of them, or a stream of server-sent events, first the existing ones, then new ones.

The id of an event is its version; a client that reconnects sends the last one it has received. Events that share a
version (after a split) have nothing to tell them apart, so only the last of them carries the id: a client that was cut
off between them receives all of them again, and misses none.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress

from litestar.handlers import HTTPRouteHandler
from litestar.response.sse import ServerSentEventMessage
from litestar.types import ASGIApp
from msgspec import json

from application.errors import MalformedRequest, Unavailable
from application.mediator import QueryDispatcher
from application.query_side.history import HistoryPage, ListEvents, PastEvent
from application.query_side.log import ListChangedPosts
from domain.errors import PostlogError
from domain.ids import PostId
from entrypoints.http.parameters import AFTER, DEFAULT_EVENTS, EVENTS_PARAMETERS, MAX_EVENTS, POSTS, read_query
from entrypoints.http.schemas import EventPage, event_view
from entrypoints.http.services import HttpServices
from entrypoints.serving.event_stream import EVENT_STREAM, event_stream, stopping_within
from entrypoints.serving.request_context import RequestContext, context_of
from entrypoints.serving.responses import REVALIDATE, json_response
from entrypoints.serving.routing import HttpRequest, get_and_head, post_id_segment

_HELLO = ServerSentEventMessage(data=None, comment="events of a post", retry=1_000)
"""Servers send the head of a response with its first part, so there must be one before there is an event."""

logger = logging.getLogger(__name__)


class LogChangeNotifier:
    """Tells open streams when their post may have new events: one read of the log's end serves all streams of a
    process, and one read of a post's events all streams of that post.

    It polls every `seconds` while there are followers, until `stopping` is set, which wakes all of them. For one event
    loop."""

    def __init__(self, queries: QueryDispatcher, stopping: asyncio.Event, seconds: float) -> None:
        self._queries = queries
        self._stopping = stopping
        self._seconds = seconds
        self._followers: dict[PostId, set[asyncio.Event]] = {}
        self._pages: dict[ListEvents, asyncio.Task[HistoryPage]] = {}
        self._polling: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, post_id: PostId) -> Iterator[asyncio.Event]:
        """The event is set whenever the post may have changed; also at the start, for earlier changes."""
        changed = asyncio.Event()
        changed.set()
        self._followers.setdefault(post_id, set()).add(changed)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll(), name="changes of the log")
        try:
            yield changed
        finally:
            self._followers[post_id].discard(changed)
            if not self._followers[post_id]:
                del self._followers[post_id]

    async def events(self, query: ListEvents) -> HistoryPage:
        """The query's result, read at most once between two polls: followers are woken by the next poll when there is
        more. Raises as the query."""
        reading = self._pages.get(query)
        if reading is None:
            reading = self._pages[query] = asyncio.create_task(self._queries.ask(query))
            reading.add_done_callback(self._retrieve_error)
        return await asyncio.shield(reading)

    async def _poll(self) -> None:
        position: int | None = None
        while self._followers and not self._stopping.is_set():
            try:
                changed = await self._queries.ask(ListChangedPosts(after=position))
            except PostlogError as error:
                logger.info("event streams wait: %s", error.code)
                position = None
                self._wake(None)  # their own read finds the error
            else:
                position = changed.position
                self._wake(changed.posts)
            await stopping_within(self._stopping, self._seconds)
        self._polling = None
        self._wake(None)

    def _wake(self, posts: frozenset[PostId] | None) -> None:
        self._pages.clear()
        for post_id in list(self._followers) if posts is None else posts & self._followers.keys():
            for changed in self._followers[post_id]:
                changed.set()

    @staticmethod
    def _retrieve_error(reading: "asyncio.Task[HistoryPage]") -> None:
        """So that asyncio logs no error of a read that no stream waits for any more."""
        if not reading.cancelled():
            reading.exception()


class EventsEndpoint:
    def __init__(self, services: HttpServices, queries: QueryDispatcher) -> None:
        self._services = services
        self._queries = queries
        self._changes = LogChangeNotifier(queries, services.stopping, services.poll_seconds)

    def handlers(self) -> list[HTTPRouteHandler]:
        return [get_and_head(POSTS + "/{id:str}/events")(self.events)]

    async def events(self, request: HttpRequest) -> ASGIApp:
        asked = read_query(request.scope, EVENTS_PARAMETERS)
        context = context_of(request.scope)
        query = ListEvents(
            post_id=post_id_segment(request.scope),
            limit=asked.get("limit", DEFAULT_EVENTS),
            after=_last_event_id(context, asked.get("after", 0)),
        )
        if _wants_stream(context):
            return await self._stream(request, query, context)
        page = await self._queries.ask(query)
        content = EventPage(events=[event_view(event) for event in page.events], next_after=page.next_after)
        return json_response(200, content, [REVALIDATE])

    async def _stream(self, request: HttpRequest, query: ListEvents, context: RequestContext) -> ASGIApp:
        context.in_flight.require_room_for_stream()
        first = await self._queries.ask(ListEvents(post_id=query.post_id, limit=MAX_EVENTS, after=query.after))
        return event_stream(request, follow(self._changes, self._services, query.post_id, first, query.after))


def _wants_stream(context: RequestContext) -> bool:
    """A client that streams accepts nothing else; one that accepts anything gets JSON."""
    accepted = (context.header(b"accept") or "").lower()
    return any(media.partition(";")[0].strip() == EVENT_STREAM for media in accepted.split(","))


def _last_event_id(context: RequestContext, after: int) -> int:
    """A client that reconnects sends the same URL as before, and here the last version it has received."""
    given = context.header(b"last-event-id")
    if not given:
        return after
    try:
        seen: int = AFTER.parse(given)
    except ValueError as error:
        raise MalformedRequest(
            f"Last-Event-ID {error}: the id of the last event received.", path="Last-Event-ID"
        ) from error
    return seen


async def follow(
    changes: LogChangeNotifier, services: HttpServices, post_id: PostId, first: HistoryPage, after: int
) -> AsyncIterator[ServerSentEventMessage]:
    """Messages until `services.stopping` is set. `first` is the page behind `after`, read by the caller, who could
    still respond with an error. Later the store may be away for a while; the stream then waits for it."""
    yield _HELLO
    page: HistoryPage | None = first
    silent_since = services.clock.monotonic()
    with changes.follow(post_id) as changed:
        while not services.stopping.is_set():
            for message in _messages(page.events if page else ()):
                yield message
            if page and page.events:
                after = page.events[-1].version
                silent_since = services.clock.monotonic()
            elif services.clock.monotonic() - silent_since >= services.heartbeat_seconds:
                yield ServerSentEventMessage(data=None, comment="still here")
                silent_since = services.clock.monotonic()
            if not (page and page.next_after is not None):
                await _set_within(changed, silent_since + services.heartbeat_seconds - services.clock.monotonic())
                changed.clear()
            page = await _next_page(changes, post_id, after)


async def _set_within(changed: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.01, seconds)):
            await changed.wait()


async def _next_page(changes: LogChangeNotifier, post_id: PostId, after: int) -> HistoryPage | None:
    try:
        return await changes.events(ListEvents(post_id=post_id, limit=MAX_EVENTS, after=after))
    except Unavailable as error:
        logger.info("an event stream waits: %s", error.code)
        return None


def _messages(events: Sequence[PastEvent]) -> Iterator[ServerSentEventMessage]:
    for event, following in zip(events, [*events[1:], None], strict=False):
        is_last_of_version = following is None or following.version != event.version
        data = json.encode(event_view(event)).decode()
        yield ServerSentEventMessage(data=data, id=event.version if is_last_of_version else None)
