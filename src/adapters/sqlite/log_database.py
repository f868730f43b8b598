"""The log's file, open in this process: what the adapters of the log share.

Every write is one transaction that takes the file's write lock first, so several processes may share the file; a
transaction that was acknowledged is on the disk (`synchronous=FULL`).
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from adapters.sqlite.integrity import problems
from adapters.sqlite.log_connections import connect, unavailable
from adapters.sqlite.log_guard import LogGuard
from adapters.sqlite.log_readers import LogReaders
from adapters.sqlite.log_writer import LogWriter

T = TypeVar("T")

_log = logging.getLogger(__name__)


class SqliteLog:
    """Opened by `async with`, in the event loop that uses it; opening raises `CannotOpen`. `append_timeout` is how many
    seconds a write waits for another process's."""

    def __init__(self, path: Path, append_timeout: float = 10.0) -> None:
        self.path = path
        self._append_timeout = append_timeout
        self._guard = LogGuard(path)
        self._writer: LogWriter | None = None
        self._readers: LogReaders | None = None
        self._appended_upto = 0
        self._appended = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._guard = LogGuard(self.path)
        writer = LogWriter(self.path, self._guard, self._append_timeout)
        try:
            await writer.open()
        except BaseException:
            await writer.close()
            raise
        self._writer = writer
        self._readers = LogReaders(self.path, self._guard, self._append_timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.close()
        if writer is not None:
            await writer.close()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` in a reader's thread. One statement sees one moment of the log. Raises `StoreUnavailable`."""
        if self._readers is None:
            raise unavailable(self.path, "it is closed")
        return await self._readers.read(query)

    def write(
        self,
        change: Callable[[sqlite3.Connection], T],
        happened: Callable[[sqlite3.Connection, T], bool] | None = None,
    ) -> "asyncio.Future[T]":
        """Run `change` in the writer's thread, in one transaction. It goes on when its caller is cancelled, if the
        caller shields the future.

        When the transaction's end fails, what became of it is unknown; `happened` is then asked on a new connection
        whether the result is there. The future raises `StoreUnavailable` when that isn't known.
        """
        if self._writer is None:
            raise unavailable(self.path, "it is closed")
        return self._writer.submit(change, happened)

    async def prove(self) -> None:
        """Raises `StoreUnavailable` when the log is not what this process knows of it, or when nothing can be written
        since a write failed."""
        await self.read(self._guard.check_commits)
        if self._writer is not None and self._writer.has_failed:
            await self.write(lambda connection: connection.execute("UPDATE log SET id = id"))

    async def examine(self) -> None:
        """Read the whole file, beside all else. When SQLite finds it damaged, no command is taken any more."""
        connection = connect(self.path, "rw", self._append_timeout)
        try:
            examining = asyncio.create_task(asyncio.to_thread(problems, connection, quick=True))
            try:
                found = await asyncio.shield(examining)
            except asyncio.CancelledError:
                while not examining.done():  # it may be about to begin
                    connection.interrupt()
                    await asyncio.wait([examining], timeout=0.05)
                raise
            if found:
                self._guard.note_damage(found[0])
                _log.error("the event log %s is damaged: %s", self.path, found[0])
        finally:
            self._guard.close(connection)

    def tell_appended(self, position: int, commit_id: str) -> None:
        """This process appended up to this commit: wake those who wait for it."""
        self._guard.note_appended(position, commit_id)
        self._appended_upto = max(self._appended_upto, position)
        appended, self._appended = self._appended, asyncio.Event()
        appended.set()

    async def appended_here(self, after: int, timeout: float) -> bool:
        """Whether this process appended beyond `after`; waits for it at most `timeout` seconds."""
        if self._appended_upto <= after:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._appended.wait()
        return self._appended_upto > after
