"""A request's body as bytes, limited before anything is made of it."""

import asyncio
from contextlib import suppress

from entrypoints.serving.errors import BodyIncomplete, BodyTooLarge, BodyTooSlow
from entrypoints.serving.exchange import Exchange
from entrypoints.serving.routes import HttpRequest

_MANY_DIGITS = 18

_LINGER_BYTES, _LINGER_SECONDS = 16_000_000, 2.0
"""How much of a body that is too large is read and thrown away. A caller who sends all before it reads would otherwise
find the connection broken, and no answer."""


async def whole_body(request: HttpRequest, exchange: Exchange, limit: int) -> bytes:
    """Raises `BodyTooLarge`, `BodyIncomplete`, `BodyTooSlow`."""
    announced = exchange.headers.get(b"content-length", b"0")
    if announced.isdigit() and (len(announced) > _MANY_DIGITS or int(announced) > limit):
        if exchange.headers.get(b"expect", b"").lower() != b"100-continue":
            await _discard_rest(request, exchange)
        raise _too_large(limit)
    seconds = exchange.activity.limits.client_seconds
    try:
        with exchange.activity.reading(exchange.peer):
            async with asyncio.timeout(seconds):
                body = await _received(request, limit)
    except TimeoutError:
        exchange.activity.given_up.add(exchange.peer)
        raise BodyTooSlow(f"The body was not complete within {seconds:g} s.", path="body") from None
    if body is None:
        await _discard_rest(request, exchange)
        raise _too_large(limit)
    return body


async def _received(request: HttpRequest, limit: int) -> bytes | None:
    """None when it is too large, and there is more of it."""
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


async def _discard_rest(request: HttpRequest, exchange: Exchange) -> None:
    size = 0
    with suppress(TimeoutError), exchange.activity.reading(exchange.peer):
        async with asyncio.timeout(_LINGER_SECONDS):
            while size < _LINGER_BYTES:
                message = await request.receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit:,} bytes, which is as much as is taken.", path="body")
