"""The commit log on SQLite."""

import time

from adapters.sqlite.commit_rows import SELECT_COMMITS, SELECT_EVENTS, commit_events_of, commits_of, page_of
from adapters.sqlite.log_database import SqliteLog
from application.envelopes import Commit, CommitEvents
from application.errors import Unavailable
from application.log_order import require_dense
from application.ports.commit_log import Share

_PAGE = "WHERE position > :after ORDER BY position LIMIT :limit"
_READ = SELECT_COMMITS + _PAGE
_READ_EVENTS = SELECT_EVENTS + _PAGE
_READ_SHARE = SELECT_EVENTS + (
    "WHERE position > :after AND position <= :until AND instr(:digits, substr(stream_id, -1)) ORDER BY position"
)

_COUNT = "SELECT count(*) FROM commits WHERE position > ? AND position <= ?"

_POLL_SECONDS = 0.1
"""How often a wait looks for another process's append: half of what the port allows."""


class SqliteCommitLog:
    def __init__(self, log: SqliteLog) -> None:
        self._log = log

    async def log_id(self) -> str:
        log_id: str = await self._log.read(lambda connection: connection.execute("SELECT id FROM log").fetchone()[0])
        return log_id

    async def tip(self) -> int:
        tip: int = await self._log.read(
            lambda connection: connection.execute("SELECT coalesce(max(position), 0) FROM commits").fetchone()[0]
        )
        return tip

    async def proven_tip(self) -> int:
        return await self.tip()

    async def count(self, after: int, until: int) -> int:
        count: int = await self._log.read(lambda connection: connection.execute(_COUNT, (after, until)).fetchone()[0])
        return count

    async def rough_count(self) -> int | None:
        return None

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        wanted = {"after": after, "limit": limit}
        commits = await self._log.read(lambda connection: commits_of(page_of(connection, _READ, wanted)))
        require_dense(commits, after)
        return commits

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        wanted = {"after": after, "limit": limit}
        commits = await self._log.read(lambda connection: commit_events_of(page_of(connection, _READ_EVENTS, wanted)))
        require_dense(commits, after)
        return commits

    async def read_share(self, after: int, until: int, share: Share) -> list[CommitEvents]:
        wanted = {"after": after, "until": until, "digits": share.last_digits}
        return await self._log.read(lambda connection: commit_events_of(page_of(connection, _READ_SHARE, wanted)))

    async def wait(self, after: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if await self._log.appended_here(after, min(left, _POLL_SECONDS)) or left <= 0:
                return
            try:
                if await self.tip() > after:
                    return
            except Unavailable:
                return  # the caller's next read says what is wrong
