"""The commit log in memory."""

import asyncio
from contextlib import suppress

from adapters.memory.log import MemoryLog
from application.envelopes import Commit, CommitEvents
from application.ports.commit_log import Share


class MemoryCommitLog:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def log_id(self) -> str:
        return self._log.log_id

    async def tip(self) -> int:
        return self._log.tip

    async def proven_tip(self) -> int:
        return self._log.tip

    async def count(self, after: int, until: int) -> int:
        return max(0, min(until, self._log.tip) - max(after, 0))

    async def rough_count(self) -> int | None:
        return self._log.tip

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        return self._log.page(after, limit)

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        return [_events_of(commit) for commit in self._log.page(after, limit)]

    async def read_share(self, after: int, until: int, share: Share) -> list[CommitEvents]:
        commits = self._log.page(after, until - after)
        return [_events_of(commit) for commit in commits if Share.of(commit.stream_id, share.shares) == share]

    async def wait(self, after: int, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._log.tip <= after:
                    await self._log.woken()


def _events_of(commit: Commit) -> CommitEvents:
    return CommitEvents(commit.position, commit.stream_id, commit.version, commit.commit_id, commit.events)
