"""The context of one request: its headers, read by the middleware and parsed here; and the requests in flight."""

import asyncio
import re
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar, cast

from msgspec import json

from application.errors import MalformedRequest
from application.shared_timeout import SharedTimeout
from domain.callers import Caller
from entrypoints.serving.errors import TooManyStreams

T = TypeVar("T")

_KEY = "postlog.context"

_IDEMPOTENCY_KEY = re.compile(rb"[!-~]{1,255}")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_POSITION = re.compile(rb"[0-9]{1,18}")

Peer = tuple[str, str]
"""Host and port of the other end of a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLimits:
    """`client_seconds` is how long a client may take to send a request, to read a response, or between two requests."""

    max_connections: int = 4_000
    max_streams: int = 1_000
    client_seconds: float = 30.0


@dataclass(slots=True)
class InFlight:
    """The requests that this process is serving. `working` counts those that a shutdown waits for; `awaiting_client`
    has the tasks that only wait for their client: for the rest of a body, or for the next event of an open stream.
    `peers` are the connections with a request being worked on, or with an open stream; `to_close` those that are to be
    closed. If `records_served`, `served` are those that have sent a request."""

    limits: ServingLimits = field(default_factory=ServingLimits)
    working: int = 0
    awaiting_client: set[asyncio.Task[Any]] = field(default_factory=set)
    peers: set[Peer] = field(default_factory=set)
    to_close: set[Peer] = field(default_factory=set)
    records_served: bool = False
    served: set[Peer] = field(default_factory=set)
    streams: int = 0
    _client_time: SharedTimeout = field(init=False)

    def __post_init__(self) -> None:
        self._client_time = SharedTimeout(self.limits.client_seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The current task waits for its client."""
        task = self._pause()
        try:
            yield
        finally:
            self._resume(task)

    async def received(self, peer: Peer, receiving: Coroutine[Any, Any, T]) -> T:
        """The rest of the request, for which the current task waits. Raises `TimeoutError` after `client_seconds`."""
        task = self._pause()
        self.peers.discard(peer)
        try:
            with self._client_time.limit():
                return await receiving
        finally:
            self.peers.add(peer)
            self._resume(task)

    def _pause(self) -> "asyncio.Task[Any]":
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.working -= 1
        self.awaiting_client.add(task)
        return task

    def _resume(self, task: "asyncio.Task[Any]") -> None:
        self.awaiting_client.discard(task)
        self.working += 1

    def require_room_for_stream(self) -> None:
        """Raises `TooManyStreams`."""
        if self.streams >= self.limits.max_streams:
            raise TooManyStreams(
                f"This process has {self.streams:,} open event streams, which is its limit (http.max_streams). "
                "Send the request again later, or read the events page by page.",
                retry_after=5,
            )

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """The current task serves a stream. Raises `TooManyStreams`."""
        self.require_room_for_stream()
        self.streams += 1
        try:
            with self.paused():
                yield
        finally:
            self.streams -= 1


@dataclass(slots=True)
class RequestContext:
    """`headers` are the request's, names in lower case, the last of a repeated one; `header_lines` has them all.
    `caller` is set when the route has admitted them; it stays None for anonymous readers, and where nobody verifies
    names. `status` and `code` are set when the response has started; `code` is that of a problem."""

    method: str
    headers: dict[bytes, bytes]
    header_lines: Sequence[tuple[bytes, bytes]]
    correlation_id: str
    in_flight: InFlight
    peer: Peer = ("", "")
    caller: Caller | None = None
    status: int | None = None
    code: str | None = None

    def header(self, name: bytes) -> str | None:
        """Without surrounding blanks. Several lines of one name count as one list."""
        if name not in self.headers:
            return None
        return ", ".join(value.decode("latin-1") for key, value in self.header_lines if key == name).strip(" \t")

    @property
    def idempotency_key(self) -> str | None:
        """Raises `MalformedRequest`."""
        key = self.headers.get(b"idempotency-key")
        if key is None:
            return None
        if _IDEMPOTENCY_KEY.fullmatch(key) is None:
            raise MalformedRequest(
                "Idempotency-Key must have 1 to 255 visible ASCII characters, without blanks.", path="Idempotency-Key"
            )
        return key.decode("ascii")

    @property
    def traceparent(self) -> str | None:
        """W3C Trace Context, which requires that a malformed one is ignored."""
        traceparent = self.headers.get(b"traceparent")
        if traceparent is None or _TRACEPARENT.fullmatch(traceparent) is None:
            return None
        return traceparent.decode("ascii")

    @property
    def min_position(self) -> int | None:
        """Raises `MalformedRequest`."""
        position = self.headers.get(b"postlog-min-position")
        if position is None:
            return None
        if _POSITION.fullmatch(position) is None:
            raise MalformedRequest(
                "Postlog-Min-Position must be a whole number: the `position` in the response of a command.",
                path="Postlog-Min-Position",
            )
        return int(position)


def attach(context: RequestContext, scope: Any) -> None:
    scope[_KEY] = context


def context_of(scope: Any) -> RequestContext:
    return cast("RequestContext", scope[_KEY])


def request_digest(method: str, path: str, content: Any) -> str:
    """What is stored with an idempotency key, to recognize the same request: equal for every spelling of it, because
    white space and the order of keys in its body do not count. `content` is anything that msgspec encodes."""
    canonical = json.encode(content, order="sorted")
    return sha256(b"\n".join((method.encode(), path.encode(), canonical))).hexdigest()
