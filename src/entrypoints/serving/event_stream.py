"""Server-sent events: a response that ends when its client disconnects or the service stops."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.serving.request_context import InFlight, context_of
from entrypoints.serving.responses import RawResponse
from entrypoints.serving.routing import HttpRequest

EVENT_STREAM = "text/event-stream"

logger = logging.getLogger(__name__)


class _ClientTooSlow(Exception):
    """The client does not read."""


@dataclass(frozen=True, slots=True)
class _OpenEndedResponse:
    """Ends when its client disconnects: a shutdown does not wait for it. A client that does not read is disconnected,
    because its messages would be buffered."""

    response: ASGIApp
    in_flight: InFlight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = self.in_flight.limits.client_seconds

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await send(message)
            except TimeoutError:
                raise _ClientTooSlow from None

        try:
            with self.in_flight.streaming():
                await self.response(scope, receive, send_in_time)
        except* _ClientTooSlow:
            self.in_flight.to_close.add(context_of(scope).peer)
            logger.info("closed an event stream: its client read nothing for %g s", seconds)


def event_stream(request: HttpRequest, messages: AsyncIterator[ServerSentEventMessage]) -> ASGIApp:
    """`messages` must end when the service stops, and should begin at once, because servers send the head of a response
    with its first part. HEAD gets the head only. Raises `TooManyStreams`."""
    context = context_of(request.scope)
    if context.method == "HEAD":
        return RawResponse(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
    context.in_flight.require_room_for_stream()
    stream = ServerSentEvent(messages).to_asgi_response(app=None, request=request)
    return _OpenEndedResponse(stream, context.in_flight)


async def stopping_within(stopping: asyncio.Event, seconds: float) -> None:
    """Return after `seconds`, or when the service stops."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
