"""The commit log in memory."""

import asyncio
from contextlib import suppress

from adapters.memory.log import MemoryLog
from application.envelopes import Commit, CommitEvents


class MemoryCommitLog:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def log_id(self) -> str:
        return self._log.log_id

    async def tip(self) -> int:
        return self._log.tip

    async def proven_tip(self) -> int:
        return self._log.tip

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        return self._log.page(after, limit)

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        return [
            CommitEvents(commit.position, commit.stream_id, commit.version, commit.commit_id, commit.events)
            for commit in self._log.page(after, limit)
        ]

    async def wait(self, after: int, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._log.tip <= after:
                    await self._log.woken()
