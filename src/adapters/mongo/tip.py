"""The newest commit that this process knows to be majority-committed, and those who wait for a newer one."""

import asyncio
from contextlib import suppress
from typing import NamedTuple


class CommitRef(NamedTuple):
    """A commit's position, and its id where that is known. Position 0: before the first."""

    position: int
    commit_id: str | None


START = CommitRef(0, None)


class CommittedTip:
    """Fed by whatever read or acknowledged write shows a commit; never ahead of the log, unless that lost commits."""

    def __init__(self) -> None:
        self.place = START
        self._moved = asyncio.Event()

    @property
    def position(self) -> int:
        return self.place.position

    def saw(self, position: int, commit_id: str | None = None) -> None:
        """The commit at `position` is majority-committed."""
        if position > self.position:
            self.place = CommitRef(position, commit_id)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    def forget(self) -> None:
        """The log lost commits: what was known of it does not hold any more."""
        self.place = START

    async def moves_beyond(self, after: int, timeout: float) -> bool:
        """Whether a position beyond `after` is known, now or within `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.position <= after:
                    await self._moved.wait()
        return self.position > after
