"""Parts of a page that are updated live: HTML in server-sent events, which `static/live.js` inserts into the page."""

from collections.abc import AsyncIterator, Awaitable, Callable

from litestar.response.sse import ServerSentEventMessage
from litestar.types import ASGIApp

from application.errors import Unavailable
from entrypoints.serving.event_stream import event_stream, stopping_within
from entrypoints.web.page_request import PageRequest

_FIRST = ServerSentEventMessage(data=None, comment="live updates", retry=1_000)
_STILL_HERE = ServerSentEventMessage(data=None, comment="still here")


def live(request: PageRequest, news: Callable[[], Awaitable[str]], seconds: float) -> ASGIApp:
    """A stream that calls `news` every so many seconds, and sends the HTML that it returns, if any. It pauses while a
    server is unavailable, and ends when the service stops."""
    return event_stream(request.http, _messages(request, news, seconds))


async def _messages(
    request: PageRequest, news: Callable[[], Awaitable[str]], seconds: float
) -> AsyncIterator[ServerSentEventMessage]:
    services = request.services
    yield _FIRST
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
