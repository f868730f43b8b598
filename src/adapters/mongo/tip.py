"""The newest commit of the log: as MongoDB reads it, and as far as this process knows it."""

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

_POSITIONS = {"_id": {"$gt": 0, "$type": ["int", "long"]}}
"""Documents with another kind of `_id` do not belong to the log."""


class CommitRef(NamedTuple):
    """A commit's position, and its id where that is known. Position 0: before the first commit."""

    position: int
    commit_id: str | None


START = CommitRef(0, None)


async def read_tip(commits: AsyncCollection[dict[str, Any]], session: AsyncClientSession) -> CommitRef:
    """The newest commit under the collection's read concern, or `START`. Raises what the driver raises."""
    tip = await commits.find_one(_POSITIONS, {"commitId": 1}, sort=[("_id", -1)], session=session)
    return CommitRef(int(tip["_id"]), tip.get("commitId")) if tip else START


class CommittedTip:
    """The newest commit that this process knows to be majority-committed. Every read and every acknowledged write that
    shows a commit advances it; it is never ahead of the log, unless the log lost commits."""

    def __init__(self) -> None:
        self.commit = START
        self._advanced = asyncio.Event()

    @property
    def position(self) -> int:
        return self.commit.position

    def advance(self, position: int, commit_id: str | None = None) -> None:
        """The commit at `position` is majority-committed. Wakes the tasks that wait for it."""
        if position > self.position:
            self.commit = CommitRef(position, commit_id)
            advanced, self._advanced = self._advanced, asyncio.Event()
            advanced.set()

    def reset(self) -> None:
        """The log lost commits: what was known of it is no longer true."""
        self.commit = START

    async def wait_beyond(self, after: int, timeout: float) -> bool:
        """Whether a position beyond `after` is known, now or within `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.position <= after:
                    await self._advanced.wait()
        return self.position > after
