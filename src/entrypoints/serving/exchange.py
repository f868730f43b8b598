"""What one request and its answer carry between the edge and the handlers."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

_KEY = "postlog.exchange"


@dataclass(slots=True)
class Activity:
    """What this process is at. `working` counts the requests that a stop waits for. `waiting` are those that only wait
    for their caller: for the rest of a body, or for the next event of an open stream."""

    working: int = 0
    waiting: set[asyncio.Task[Any]] = field(default_factory=set)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The current task waits for its caller."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.working -= 1
        self.waiting.add(task)
        try:
            yield
        finally:
            self.waiting.discard(task)
            self.working += 1


@dataclass(slots=True)
class Exchange:
    """`headers` are the request's, names in lower case, the last of a repeated one; `header_lines` has them all.
    `status` and `code` are known when the answer has begun; `code` is that of a problem."""

    method: str
    headers: dict[bytes, bytes]
    header_lines: Sequence[tuple[bytes, bytes]]
    correlation_id: str
    activity: Activity
    status: int | None = None
    code: str | None = None

    def header(self, name: bytes) -> str | None:
        """Without surrounding blanks. Several lines of one name count as one list."""
        if name not in self.headers:
            return None
        return ", ".join(value.decode("latin-1") for key, value in self.header_lines if key == name).strip(" \t")


def attach(exchange: Exchange, scope: Any) -> None:
    scope[_KEY] = exchange


def exchange_of(scope: Any) -> Exchange:
    return cast("Exchange", scope[_KEY])
