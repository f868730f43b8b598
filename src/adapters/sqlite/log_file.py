"""The log's file, open in this process: one thread that writes, a few threads that read, and their connections.

Every write is one transaction that takes the file's write lock first, so several processes may share the file; a
transaction that was acknowledged is on the disk (`synchronous=FULL`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, Self, TypeVar

from adapters.sqlite.integrity import problems
from adapters.sqlite.log_guard import LogGuard, abandon, is_damage, require_log_of_wal, require_own_wal, tip_of
from adapters.sqlite.log_schema import SETTING, files_beside, prepare, size_of
from adapters.threads import DaemonThreadPool
from adapters.wire.commit_json import MalformedCommit
from application.errors import CannotOpen, StoreUnavailable

T = TypeVar("T")

_OPEN_SECONDS = 10.0

_READER_THREADS = 4
"""More would share a few cores without answering sooner."""

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
            await readers.close()
        if writer is not None:
            await writer.close()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` in a reader thread. One statement sees one state of the log. Raises `StoreUnavailable`."""
        if self._readers is None:
            raise unavailable(self.path, "it is closed")
        return await self._readers.read(query)

    def write(
        self,
        change: Callable[[sqlite3.Connection], T],
        happened: Callable[[sqlite3.Connection, T], bool] | None = None,
    ) -> asyncio.Future[T]:
        """Run `change` in the writer thread, in one transaction. It continues when its caller is cancelled, if the
        caller shields the future.

        When the commit fails, the outcome of the transaction is unknown; `happened` then checks on a new connection
        whether the result is there. The future raises `StoreUnavailable` when the outcome stays unknown.
        """
        if self._writer is None:
            raise unavailable(self.path, "it is closed")
        return self._writer.submit(change, happened)

    async def prove(self) -> None:
        """Raises `StoreUnavailable` when the log is not what this process knows of it, or when a write failed and still
        nothing can be written."""
        await self.read(self._guard.check_commits)
        if self._writer is not None and self._writer.has_failed:
            await self.write(lambda connection: connection.execute("UPDATE log SET id = id"))

    async def examine(self) -> None:
        """Read the whole file in the background. When SQLite finds it damaged, the log refuses every later command."""
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
                self._guard.record_damage(found[0])
                _log.error("the event log %s is damaged: %s", self.path, found[0])
        finally:
            self._guard.close(connection)

    def notify_appended(self, position: int, commit_id: str) -> None:
        """This process appended up to this commit: wake the tasks that wait for it."""
        self._guard.record_appended(position, commit_id)
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


class LogWriter:
    """The one thread of this process that writes, and its connection. `seconds` is how long a write waits for another
    process's. Methods that begin with `_` run in the thread. `has_failed`: the last write did, for another reason than
    another process's lock."""

    def __init__(self, path: Path, guard: LogGuard, seconds: float) -> None:
        self._path = path
        self._guard = guard
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = DaemonThreadPool("postlog-log-writer", limit=1)
        self._connection: sqlite3.Connection | None = None
        self.has_failed = False

    async def open(self) -> None:
        """Raises `CannotOpen`."""
        await self._thread.run(self._open)

    async def close(self) -> None:
        """A write under way is finished first; one that still waits for another process's lock gives up."""
        self._stop.set()
        await self._thread.run(self._drop_connection)
        await self._thread.close(self._seconds)

    def submit(
        self,
        change: Callable[[sqlite3.Connection], T],
        happened: Callable[[sqlite3.Connection, T], bool] | None,
    ) -> asyncio.Future[T]:
        deadline = time.monotonic() + self._seconds
        return self._thread.submit(partial(self._write, change, happened, deadline))

    def _open(self) -> None:
        self._connection = open_log(self._path)
        self._guard.opened(self._connection)

    def _write(
        self,
        change: Callable[[sqlite3.Connection], T],
        happened: Callable[[sqlite3.Connection, T], bool] | None,
        deadline: float,
    ) -> T:
        """The guard checks the files last, so that nothing is acknowledged into a file that is no longer the log."""
        try:
            connection = self._begin(deadline)
            result = change(connection)
            if happened is None:  # not an append; an append records its commits itself, which is faster
                self._guard.record_written(connection)
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

    def _begin(self, deadline: float) -> sqlite3.Connection:
        self._guard.check_if_in_doubt()
        if self._connection is None:
            self._guard.check()
            self._connection = connect(self._path, "rw", self._seconds)
            self._connection.execute("PRAGMA busy_timeout = 0")
            tip_of(self._connection)  # SQLite creates the files beside the log at the first read
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
            _log.warning("Committing to the event log failed; checking whether it happened.", exc_info=True)
            self._drop_connection()
            if happened is None or not self._has_happened(happened, result):
                raise self._failed(error) from error

    def _has_happened(self, happened: Callable[[sqlite3.Connection, T], bool], result: T) -> bool:
        try:
            self._connection = connect(self._path, "rw", self._seconds)
            return happened(self._connection, result)
        except (sqlite3.Error, MalformedCommit) as error:
            raise self._failed(error) from error
        finally:
            self._drop_connection()

    def _failed(self, error: Exception) -> StoreUnavailable:
        self.has_failed = not (isinstance(error, sqlite3.Error) and is_busy(error))
        self._guard.record_error(error)
        return unavailable(self._path, error)

    def _drop_connection(self) -> None:
        """Closing rolls back what was not committed. The next write opens another connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._guard.close(connection, writes=True)


class LogReaders:
    """A few threads that read, each query on a connection of its own. Readers see only transactions that are on the
    disk: SQLite shows a transaction after its fsync. A writer never blocks them; `seconds` is for the moments in which
    another process repairs the file after a crash."""

    def __init__(self, path: Path, guard: LogGuard, seconds: float) -> None:
        self._path = path
        self._guard = guard
        self._seconds = seconds
        self._threads = DaemonThreadPool("postlog-log-reader", limit=_READER_THREADS)
        self._idle: deque[sqlite3.Connection] = deque()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Raises `StoreUnavailable`."""
        return await self._threads.run(partial(self._read, query))

    async def close(self) -> None:
        """Waits for the queries under way, at most as long as a write waits for another process."""
        await self._threads.close(self._seconds)
        while self._idle:
            self._guard.close(self._idle.pop())

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._guard.check()
        try:
            connection = self._connection()
        except sqlite3.Error as error:
            self._guard.record_error(error)
            raise unavailable(self._path, error) from error
        try:
            result = query(connection)
        except (sqlite3.Error, MalformedCommit) as error:
            self._guard.record_error(error)
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


def open_log(path: Path) -> sqlite3.Connection:
    """Creates the file and its folder when they are missing. Raises `CannotOpen`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _open_prepared(path)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_open(path, error) from error
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            connection.close()
            raise _cannot_open(path, f"{place} is not writable")
    return connection


def connect(path: Path, mode: Literal["rw", "rwc"], busy_seconds: float) -> sqlite3.Connection:
    """Without Python's implicit transactions; `busy_seconds` is how long SQLite itself waits for a lock. `rw` does not
    create a missing file."""
    address = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def begin(connection: sqlite3.Connection, deadline: float, stop: threading.Event) -> None:
    """Begin a transaction that holds the write lock. Polls for it: SQLite's own waiting sleeps up to 100 ms at a time,
    and a busy neighbour would hardly ever let this process in. Raises busy at the monotonic time `deadline`.
    """
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline or stop.wait(_pause()):
                raise
        else:
            return


def is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def unavailable(path: Path, why: object) -> StoreUnavailable:
    return StoreUnavailable(f"The event log {path} ({SETTING}) does not answer: {why}.", path=SETTING)


def _open_prepared(path: Path) -> sqlite3.Connection:
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        try:
            return _open_prepared_once(path)
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(_pause())


def _open_prepared_once(path: Path) -> sqlite3.Connection:
    require_log_of_wal(path)
    connection = connect(path, "rwc", 0)
    try:
        prepare(connection, path)
        require_own_wal(connection, path)
    except BaseException as error:
        if size_of(files_beside(path)[0]) and not (isinstance(error, sqlite3.Error) and is_busy(error)):
            abandon(connection)
        else:
            connection.close()
        raise
    return connection


def _pause() -> float:
    """Seconds; jittered, so that processes which poll for one lock don't synchronize."""
    return random.uniform(0.000_2, 0.002)  # noqa: S311 no secret


def _cannot_open(path: Path, why: object) -> CannotOpen:
    remedy = "Check the file and its folder"
    if isinstance(why, sqlite3.Error) and is_damage(why):
        remedy = "Restore a backup with `postlog restore`"
    return CannotOpen(
        f"The event log {path} can't be opened: {why}. {remedy}, or name another file in {SETTING}.", path=SETTING
    )
