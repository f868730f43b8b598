"""A request's body as bytes, limited before anything is made of it."""

import asyncio
from contextlib import suppress

from entrypoints.serving.errors import BodyIncomplete, BodyTooLarge
from entrypoints.serving.exchange import Exchange
from entrypoints.serving.routes import HttpRequest

_MANY_DIGITS = 18

_LINGER_BYTES, _LINGER_SECONDS = 16_000_000, 2.0
"""How much of a body that is too large is read and thrown away. A caller who sends all before it reads would otherwise
find the connection broken, and no answer."""


async def whole_body(request: HttpRequest, exchange: Exchange, limit: int) -> bytes:
    """Raises `BodyTooLarge`, `BodyIncomplete`."""
    announced = exchange.headers.get(b"content-length", b"0")
    if announced.isdigit() and (len(announced) > _MANY_DIGITS or int(announced) > limit):
        if exchange.headers.get(b"expect", b"").lower() != b"100-continue":
            await _discard_rest(request, exchange)
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    with exchange.activity.paused():
        while True:
            message = await request.receive()
            if message["type"] != "http.request":
                raise BodyIncomplete("The connection was closed before the body was complete.")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                if message.get("more_body", False):
                    await _discard_rest(request, exchange)
                raise _too_large(limit)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


async def _discard_rest(request: HttpRequest, exchange: Exchange) -> None:
    size = 0
    with suppress(TimeoutError), exchange.activity.paused():
        async with asyncio.timeout(_LINGER_SECONDS):
            while size < _LINGER_BYTES:
                message = await request.receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit:,} bytes, which is as much as is taken.", path="body")
