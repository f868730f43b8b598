"""Parts of a page that stay up to date: HTML in server-sent events, which `static/live.js` puts in its place."""

from collections.abc import AsyncIterator, Awaitable, Callable

from litestar.response.sse import ServerSentEventMessage
from litestar.types import ASGIApp

from application.errors import Unavailable
from entrypoints.serving.event_stream import event_stream, stopping_within
from entrypoints.web.page_request import PageRequest

_HELLO = ServerSentEventMessage(data=None, comment="a live part", retry=1_000)
_STILL_HERE = ServerSentEventMessage(data=None, comment="still here")


def live(visit: PageRequest, news: Callable[[], Awaitable[str]], seconds: float) -> ASGIApp:
    """An answer that asks for `news` every so many seconds, and sends what it gets: HTML, or "" when nothing is new.
    While a server is away it waits. It ends when the service stops."""
    return event_stream(visit.request, _messages(visit, news, seconds))


async def _messages(
    visit: PageRequest, news: Callable[[], Awaitable[str]], seconds: float
) -> AsyncIterator[ServerSentEventMessage]:
    services = visit.services
    yield _HELLO
    silent_since = services.clock.monotonic()
    while not services.stopping.is_set():
        html = await _html(news)
        if html:
            yield ServerSentEventMessage(data=html)
            silent_since = services.clock.monotonic()
        elif services.clock.monotonic() - silent_since >= services.heartbeat_seconds:
            yield _STILL_HERE
            silent_since = services.clock.monotonic()
        await stopping_within(services.stopping, seconds)


async def _html(news: Callable[[], Awaitable[str]]) -> str:
    try:
        return await news()
    except Unavailable:
        return ""
