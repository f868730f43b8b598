"""A post's events as they happen, as server-sent events: first what is there, then what comes.

The id of an event is its version, and a caller that comes back names the last one it has seen. Events that share a
version (after a split) are told apart by nothing, so only the last of them carries the id: whoever was cut off between
them gets them all again, and misses none.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress

from litestar.response.sse import ServerSentEventMessage
from msgspec import json

from application.errors import Unavailable
from application.query_side.queries import HistoryPage, ListEvents, PastEvent
from domain.ids import PostId
from entrypoints.http.parameters import MAX_EVENTS
from entrypoints.http.services import HttpServices
from entrypoints.http.views import event_view
from entrypoints.serving.log_changes import LogChanges

_HELLO = ServerSentEventMessage(data=None, comment="events of a post", retry=1_000)
"""Servers send the head of an answer with its first part, so there must be one before there is an event."""

logger = logging.getLogger(__name__)


async def follow(
    changes: LogChanges, services: HttpServices, post_id: PostId, first: HistoryPage, after: int
) -> AsyncIterator[ServerSentEventMessage]:
    """Messages until `services.stopping` is set. `first` is the page behind `after`, read by the caller, who could
    still answer with an error. Later the store may be away for a while; the stream then waits for it."""
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


async def _next_page(changes: LogChanges, post_id: PostId, after: int) -> HistoryPage | None:
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
