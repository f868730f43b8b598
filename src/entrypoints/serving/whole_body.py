"""A request's body as bytes, limited before anything is made of it."""

from entrypoints.serving.errors import BodyIncomplete, BodyTooLarge
from entrypoints.serving.exchange import Exchange
from entrypoints.serving.routes import HttpRequest

_MANY_DIGITS = 18


async def whole_body(request: HttpRequest, exchange: Exchange, limit: int) -> bytes:
    """Raises `BodyTooLarge`, `BodyIncomplete`."""
    announced = exchange.headers.get(b"content-length", b"0")
    if announced.isdigit() and (len(announced) > _MANY_DIGITS or int(announced) > limit):
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
                raise _too_large(limit)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit:,} bytes, which is as much as is taken.", path="body")
