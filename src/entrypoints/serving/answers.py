"""Answers as plain ASGI applications: what the hot path needs of a response, and nothing else."""

import asyncio
import re
from dataclasses import dataclass, field
from gzip import compress
from typing import Any

from litestar.types import Receive, Scope, Send
from msgspec import json

Headers = list[tuple[bytes, bytes]]

_encoder = json.Encoder()

JSON = (b"content-type", b"application/json")
_BODILESS = (204, 304)
REVALIDATE = (b"cache-control", b"no-cache")


_COMPRESSED_FROM = 1_400
"""Bytes; a smaller answer fits into one packet anyway."""
_IN_A_THREAD_FROM = 64_000
"""Bytes; compressing more would keep the event loop from other requests."""
_COMPRESSIBLE = re.compile(rb"(text/|application/(problem\+)?json|image/svg)")
_GZIP = re.compile(rb"(?:^|[\s,])gzip\s*(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole body at once, compressed where that pays and the caller takes it. Content-Length is added, except where
    there is never a body."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    async def __call__(self, scope: Scope, __: Receive, send: Send) -> None:
        headers, body = self.headers, self.body
        if len(body) >= _COMPRESSED_FROM and _is_compressible(headers):
            headers = [*headers, (b"vary", b"accept-encoding")]
            if _takes_gzip(scope):
                headers, body = [_compressed_header(*header) for header in headers], await _compressed(body)
                headers.append((b"content-encoding", b"gzip"))
        if self.status not in _BODILESS:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_compressible(headers: Headers) -> bool:
    return any(name == b"content-type" and _COMPRESSIBLE.match(value) for name, value in headers)


def _takes_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and _GZIP.search(value) for name, value in scope["headers"])


async def _compressed(body: bytes) -> bytes:
    if len(body) < _IN_A_THREAD_FROM:
        return compress(body, 1)
    return await asyncio.to_thread(compress, body, 1)


def _compressed_header(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A tag names a representation, and the compressed one is another."""
    return (name, b'%s-gzip"' % value[:-1]) if name == b"etag" and value.endswith(b'"') else (name, value)


def json_answer(status: int, content: Any, headers: Headers) -> Answer:
    """The body ends with a line, as terminals like it."""
    return Answer(status, [JSON, *headers], _encoder.encode(content) + b"\n")


def etag(version: int) -> tuple[bytes, bytes]:
    return (b"etag", b'"%d"' % version)
