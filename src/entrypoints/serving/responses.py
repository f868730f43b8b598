"""Responses as plain ASGI applications: only what the hot path needs; and the files that are shipped with the package.

Litestar's own responses cost more than the rest of a small request.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from gzip import compress
from pathlib import Path
from typing import Any

from litestar.types import Receive, Scope, Send
from msgspec import json

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
REVALIDATE = (b"cache-control", b"no-cache")
HOUR = "max-age=3600"

_BODILESS = (204, 304)
_COMPRESSED_FROM = 1_400
"""Bytes; a smaller response fits into one packet anyway."""
_IN_A_THREAD_FROM = 64_000
"""Bytes; compressing more would block the event loop."""
_COMPRESSIBLE = re.compile(rb"(text/|application/(problem\+)?json|image/svg)")
_GZIP = re.compile(rb"(?:^|[\s,])gzip\s*(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_encoder = json.Encoder()


@dataclass(frozen=True, slots=True)
class RawResponse:
    """The whole body at once, compressed where that pays and the client accepts it. Content-Length is added, except
    where a status has no body."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    async def __call__(self, scope: Scope, __: Receive, send: Send) -> None:
        headers, body = self.headers, self.body
        if len(body) >= _COMPRESSED_FROM and _is_compressible(headers):
            headers = [*headers, (b"vary", b"accept-encoding")]
            if _accepts_gzip(scope):
                headers, body = [_compressed_header(*header) for header in headers], await _compressed(body)
                headers.append((b"content-encoding", b"gzip"))
        if self.status not in _BODILESS:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_compressible(headers: Headers) -> bool:
    return any(name == b"content-type" and _COMPRESSIBLE.match(value) for name, value in headers)


def _accepts_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and _GZIP.search(value) for name, value in scope["headers"])


async def _compressed(body: bytes) -> bytes:
    if len(body) < _IN_A_THREAD_FROM:
        return compress(body, 1)
    return await asyncio.to_thread(compress, body, 1)


def _compressed_header(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A tag names a representation, and the compressed one is another."""
    return (name, b'%s-gzip"' % value[:-1]) if name == b"etag" and value.endswith(b'"') else (name, value)


def json_response(status: int, content: Any, headers: Headers) -> RawResponse:
    """The body ends with a newline, for terminals."""
    return RawResponse(status, [JSON, *headers], _encoder.encode(content) + b"\n")


def etag(version: int) -> tuple[bytes, bytes]:
    return (b"etag", b'"%d"' % version)


class StaticFiles:
    """`files` maps the name in a URL to the path below `folder`; no other file can be reached."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._folder = folder
        self._files = files

    def response(self, name: str, caching: str = HOUR) -> RawResponse | None:
        """None when there is no such file."""
        if name not in self._files:
            return None
        path = self._folder / self._files[name]
        headers = [
            (b"content-type", _TYPES[path.suffix].encode("ascii")),
            (b"cache-control", caching.encode("ascii")),
        ]
        return RawResponse(200, headers, path.read_bytes())
