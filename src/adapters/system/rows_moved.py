"""Notifies waiting queries of new rows by an event of the loop, within one process. Other processes are not notified:
their queries read again after a bounded time."""

import asyncio
from contextlib import suppress


class LocalRowsMoved:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._moved = asyncio.Event()
        self.position: int | None = None

    def notify(self, position: int | None = None) -> None:
        if position is not None:
            self.position = position
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def wait(self, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._moved.wait()
