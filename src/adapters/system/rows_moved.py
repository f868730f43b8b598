"""A projector and queries in one process, told by an event of its loop. Between processes nobody is told: queries that
wait look again after a bounded time."""

import asyncio
from contextlib import suppress


class LocalRowsMoved:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._moved = asyncio.Event()

    def notify(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def wait(self, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._moved.wait()
