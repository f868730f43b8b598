"""Server-sent events: an answer that goes on until its reader leaves or the service stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage
from litestar.types import ASGIApp, Receive, Scope, Send

from entrypoints.serving.answers import Answer
from entrypoints.serving.exchange import Activity, exchange_of
from entrypoints.serving.routes import HttpRequest

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Unwaited:
    """An answer that goes on as long as its reader likes: a stop of the service does not wait for it."""

    answer: ASGIApp
    activity: Activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.activity.paused():
            await self.answer(scope, receive, send)


def event_stream(request: HttpRequest, messages: AsyncIterator[ServerSentEventMessage]) -> ASGIApp:
    """`messages` must end when the service stops, and should begin at once: servers send the head of an answer with its
    first part. HEAD gets the head alone."""
    exchange = exchange_of(request.scope)
    if exchange.method == "HEAD":
        return Answer(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
    stream = ServerSentEvent(messages).to_asgi_response(app=None, request=request)
    return Unwaited(stream, exchange.activity)


async def stopping_within(stopping: asyncio.Event, seconds: float) -> None:
    """Return after so many seconds, or when the service stops."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
