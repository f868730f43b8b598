"""What comes with a command in headers: `Idempotency-Key`, `traceparent`, the correlation id."""

import re

from msgspec import Struct

from application.errors import MalformedRequest
from application.mediator import CommandContext, IdempotencyKey
from entrypoints.serving.exchange import Exchange
from entrypoints.serving.request_digest import request_digest

_KEY = re.compile(rb"[!-~]{1,255}")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def command_context(
    exchange: Exchange, path: str, content: Struct | str | None, expected_version: int | None
) -> CommandContext:
    """`path` is the canonical one, `content` what the command's body or query says. Raises `MalformedRequest`."""
    headers = exchange.headers
    key = headers.get(b"idempotency-key")
    traceparent = headers.get(b"traceparent")
    return CommandContext(
        correlation_id=exchange.correlation_id,
        traceparent=_well_formed(traceparent) if traceparent else None,
        idempotency_key=None if key is None else _idempotency_key(key, exchange.method, path, content),
        expected_version=expected_version,
    )


def _idempotency_key(key: bytes, method: str, path: str, content: Struct | str | None) -> IdempotencyKey:
    if _KEY.fullmatch(key) is None:
        raise MalformedRequest(
            "Idempotency-Key takes 1 to 255 visible ASCII characters, without blanks.", path="Idempotency-Key"
        )
    return IdempotencyKey(key.decode("ascii"), request_digest(method, path, content))


def _well_formed(traceparent: bytes) -> str | None:
    """W3C Trace Context; what is not well-formed is to be ignored."""
    return traceparent.decode("ascii") if _TRACEPARENT.fullmatch(traceparent) else None
