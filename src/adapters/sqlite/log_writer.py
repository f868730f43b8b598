"""The one thread of this process that writes to the log's file, and its connection."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from adapters.sqlite.log_connections import begin, connect, is_busy, open_log, unavailable
from adapters.sqlite.log_guard import LogGuard, tip_of
from adapters.wire.commit_json import MalformedCommit
from application.errors import StoreUnavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LogWriter:
    """`seconds` is how long a write waits for another process's. Methods that begin with `_` run in the thread."""

    def __init__(self, path: Path, guard: LogGuard, seconds: float) -> None:
        self._path = path
        self._guard = guard
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postlog-log-writer")
        self._connection: sqlite3.Connection | None = None
        self.has_failed = False
        """The last write did, for another reason than a neighbour's lock."""

    async def open(self) -> None:
        """Raises `CannotOpen`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def close(self) -> None:
        """A write under way is finished first; one that still waits for another process's lock gives up."""
        self._stop.set()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop_connection)
        self._thread.shutdown()

    def submit(
        self,
        change: Callable[[sqlite3.Connection], T],
        happened: Callable[[sqlite3.Connection, T], bool] | None,
    ) -> "asyncio.Future[T]":
        deadline = time.monotonic() + self._seconds
        return asyncio.get_running_loop().run_in_executor(self._thread, self._write, change, happened, deadline)

    def _open(self) -> None:
        self._connection = open_log(self._path)
        self._guard.opened(self._connection)

    def _write(
        self,
        change: Callable[[sqlite3.Connection], T],
        happened: Callable[[sqlite3.Connection, T], bool] | None,
        deadline: float,
    ) -> T:
        """Nothing is acknowledged into a file that is not the log any more, so the guard looks at the end."""
        try:
            connection = self._begun(deadline)
            result = change(connection)
            if happened is None:  # no append, whose commits are noted one by one, since each command pays for it
                self._guard.note_written(connection)
        except (OSError, sqlite3.Error, MalformedCommit) as error:
            failed = self._failed(error)
            self._drop_connection()
            raise failed from error
        except BaseException:
            self._drop_connection()
            raise
        self._commit(connection, result, happened)
        self._guard.check(with_index=False)
        self.has_failed = False
        return result

    def _begun(self, deadline: float) -> sqlite3.Connection:
        self._guard.check_if_in_doubt()
        if self._connection is None:
            self._guard.check()
            self._connection = connect(self._path, "rw", self._seconds)
            self._connection.execute("PRAGMA busy_timeout = 0")
            tip_of(self._connection)  # from here on the files beside are there
            self._guard.opened(self._connection)
        begin(self._connection, deadline, self._stop)
        self._guard.check_commits(self._connection)
        return self._connection

    def _commit(
        self, connection: sqlite3.Connection, result: T, happened: Callable[[sqlite3.Connection, T], bool] | None
    ) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            _log.warning("A transaction of the event log failed at its end; asking what became of it.", exc_info=True)
            self._drop_connection()
            if happened is None or not self._ask(happened, result):
                raise self._failed(error) from error

    def _ask(self, happened: Callable[[sqlite3.Connection, T], bool], result: T) -> bool:
        try:
            self._connection = connect(self._path, "rw", self._seconds)
            return happened(self._connection, result)
        except (sqlite3.Error, MalformedCommit) as error:
            raise self._failed(error) from error
        finally:
            self._drop_connection()

    def _failed(self, error: Exception) -> StoreUnavailable:
        self.has_failed = not (isinstance(error, sqlite3.Error) and is_busy(error))
        self._guard.note_error(error)
        return unavailable(self._path, error)

    def _drop_connection(self) -> None:
        """Closing rolls back what was not committed. The next write connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._guard.close(connection, writes=True)
