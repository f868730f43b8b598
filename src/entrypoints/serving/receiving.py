"""Receiving from the client: the whole body as bytes, limited before it is decoded; and the client's disconnect."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from entrypoints.serving.errors import BodyIncomplete, BodyTooLarge, BodyTooSlow, ClientGone
from entrypoints.serving.request_context import RequestContext
from entrypoints.serving.routing import HttpRequest

T = TypeVar("T")

_MANY_DIGITS = 18

_LINGER_BYTES, _LINGER_SECONDS = 16_000_000, 2.0
"""How much of a body that is too large is read and discarded. A client that sends everything before it reads would
otherwise find the connection broken, and no response."""


async def read_body(request: HttpRequest, context: RequestContext, limit: int) -> bytes:
    """Raises `BodyTooLarge`, `BodyIncomplete`, `BodyTooSlow`."""
    announced = context.headers.get(b"content-length", b"0")
    if announced.isdigit() and (len(announced) > _MANY_DIGITS or int(announced) > limit):
        if context.headers.get(b"expect", b"").lower() != b"100-continue":
            await _discard_rest(request, context)
        raise _too_large(limit)
    seconds = context.in_flight.limits.client_seconds
    try:
        body = await context.in_flight.received(context.peer, _received(request, limit))
    except TimeoutError:
        context.in_flight.to_close.add(context.peer)
        raise BodyTooSlow(f"The body was not complete within {seconds:g} s.", path="body") from None
    if body is None:
        await _discard_rest(request, context)
        raise _too_large(limit)
    return body


async def _received(request: HttpRequest, limit: int) -> bytes | None:
    """None when it is too large and there is more of it."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise BodyIncomplete("The connection was closed before the body was complete.")
        chunk, is_last = message.get("body", b""), not message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            if is_last:
                raise _too_large(limit)
            return None
        chunks.append(chunk)
        if is_last:
            return b"".join(chunks)


async def _discard_rest(request: HttpRequest, context: RequestContext) -> None:
    async def discard() -> None:
        size = 0
        while size < _LINGER_BYTES:
            message = await request.receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            size += len(message.get("body", b""))

    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            await context.in_flight.received(context.peer, discard())


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than the limit of {limit:,} bytes.", path="body")


async def cancel_on_disconnect(request: HttpRequest, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client disconnects; then `ClientGone` is raised, which no one
    reads. For queries that may take long, never for commands. The request's body must have been read."""
    working = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((working, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone("The client closed the connection before there was a response.")
    finally:
        for task in (working, disconnect):
            task.cancel()
        await asyncio.gather(working, disconnect, return_exceptions=True)


async def _disconnected(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
