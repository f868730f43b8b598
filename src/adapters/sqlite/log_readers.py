"""A few threads that read the log's file, each query on a connection of its own."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from adapters.sqlite.log_connections import connect, unavailable
from adapters.sqlite.log_guard import LogGuard
from adapters.wire.commit_json import MalformedCommit

T = TypeVar("T")

_THREADS = 4
"""More would share a few cores without answering sooner."""


class LogReaders:
    """Readers see only transactions that are on the disk: SQLite shows a transaction after its fsync. They are never
    held up by a writer; `seconds` is for the moments in which another process repairs the file after a crash."""

    def __init__(self, path: Path, guard: LogGuard, seconds: float) -> None:
        self._path = path
        self._guard = guard
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="postlog-log-reader")
        self._idle: deque[sqlite3.Connection] = deque()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Raises `StoreUnavailable`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, query)

    def close(self) -> None:
        """Waits for the queries under way."""
        self._threads.shutdown()
        while self._idle:
            self._guard.close(self._idle.pop())

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._guard.check()
        try:
            connection = self._connection()
        except sqlite3.Error as error:
            self._guard.note_error(error)
            raise unavailable(self._path, error) from error
        try:
            result = query(connection)
        except (sqlite3.Error, MalformedCommit) as error:
            self._guard.note_error(error)
            self._guard.close(connection)
            raise unavailable(self._path, error) from error
        except BaseException:
            self._guard.close(connection)
            raise
        self._idle.append(connection)
        return result

    def _connection(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            connection = connect(self._path, "rw", self._seconds)
            connection.execute("PRAGMA query_only = ON")
            return connection
