"""Answers as plain ASGI applications: what the hot path needs of a response, and nothing else."""

from dataclasses import dataclass, field
from typing import Any

from litestar.types import Receive, Scope, Send
from msgspec import json

Headers = list[tuple[bytes, bytes]]

_encoder = json.Encoder()

JSON = (b"content-type", b"application/json")
_BODILESS = (204, 304)
REVALIDATE = (b"cache-control", b"no-cache")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole body at once. Content-Length is added, except where there is never a body."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        headers = self.headers
        if self.status not in _BODILESS:
            headers = [*headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def json_answer(status: int, content: Any, headers: Headers) -> Answer:
    return Answer(status, [JSON, *headers], _encoder.encode(content))


def etag(version: int) -> tuple[bytes, bytes]:
    return (b"etag", b'"%d"' % version)
