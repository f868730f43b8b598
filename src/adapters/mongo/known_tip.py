"""The highest position that this process knows to be majority-committed, and those who wait for a higher one."""

import asyncio
from contextlib import suppress


class KnownTip:
    """Fed by whatever read or acknowledged write shows a commit; never ahead of the log."""

    def __init__(self) -> None:
        self.position = 0
        self._moved = asyncio.Event()

    def saw(self, position: int) -> None:
        """The commit at `position` is majority-committed."""
        if position > self.position:
            self.position = position
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    async def moves_beyond(self, after: int, timeout: float) -> bool:
        """Whether a position beyond `after` is known, now or within `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.position <= after:
                    await self._moved.wait()
        return self.position > after
