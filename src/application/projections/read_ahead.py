"""Read the next page of the log while the previous one is being written."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


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
