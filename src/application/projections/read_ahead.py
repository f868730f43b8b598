"""The next page of the log is read while the one before is being written."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """One read at a time. What is under way when the `async with` block ends is given up, however it went."""

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
        """Of the read that was begun; raises what it raised."""
        if self._reading is None:
            raise RuntimeError("No read was begun.")
        try:
            return await self._reading
        finally:
            self._reading = None
