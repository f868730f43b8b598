"""Read the next page of the log while the previous one is being written."""

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from application.envelopes import AnyCommit

T = TypeVar("T")

_MANY_EVENTS = 500


def is_worth_reading_ahead(page: Sequence[AnyCommit], limit: int) -> bool:
    """False for a page, of at most `limit` commits, that probably ended at the log's end: reading on would find
    nothing, and delay what is done with these few commits."""
    return len(page) >= limit or sum(len(commit.events) for commit in page) >= _MANY_EVENTS


class ReadAhead(Generic[T]):
    """One read at a time. A read in flight is cancelled when the `async with` block ends."""

    def __init__(self) -> None:
        self._reading: asyncio.Task[T] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def begin(self, read: Coroutine[Any, Any, T]) -> None:
        self._reading = asyncio.create_task(read)

    async def result(self) -> T:
        """The result of the read that was begun, or its exception."""
        if self._reading is None:
            raise RuntimeError("No read was begun.")
        try:
            return await self._reading
        finally:
            self._reading = None
