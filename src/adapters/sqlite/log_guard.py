"""Detects that the log's files are no longer those that this process opened: replaced, overwritten, removed or damaged.

SQLite itself does not notice: it continues with its cache, and its write-ahead log is then written into a file that it
does not belong to. So every read and write checks the file's time and size first. They change only by a checkpoint, by
this process or another one, after which the file alone, without its write-ahead log, still holds what it held before.
"""

import ctypes
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from adapters.sqlite.log_schema import SETTING, application_id, files_beside, foreign_wal, size_of
from application.errors import CannotOpen, LogChanged, StoreUnavailable, Unavailable

_SETTLE_SECONDS = 1.0
"""How long a checkpoint of another process may leave the file alone between two states."""

_PAUSE_SECONDS = 0.005

_RETRY_SECONDS = 30
"""An operator has to act first."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_TIP = "SELECT position, commit_id FROM commits ORDER BY position DESC LIMIT 1"
_FOUND = """SELECT count(*) FROM commits AS a WHERE position > ?
    AND position = (SELECT position FROM commits AS b WHERE b.commit_id = a.commit_id)
    AND position = (SELECT position FROM commits AS c WHERE c.stream_id = a.stream_id AND c.version = a.version)"""
"""Counts the commits that are found by each of their keys."""

_COUNT = "SELECT count(*) FROM commits WHERE position > ?"

_NEWEST = 2_000
"""About as many commits as a write-ahead log holds before a checkpoint."""

_COMMIT_ID = "SELECT commit_id FROM commits WHERE position = ?"


class CommitRef(NamedTuple):
    """A commit that the log holds."""

    position: int
    commit_id: str


class FileAlone(NamedTuple):
    """What the log's file holds without its write-ahead log. Every copy made by `VACUUM` or SQLite's backup has another
    `schema_version`."""

    log_id: str
    application_id: int
    schema_version: int
    tip: CommitRef | None


class LogGuard:
    """For one process, and callable from any thread, except where a method says otherwise. A change that was found once
    is final: only a restart of the process clears it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = str(path)
        self._comparing = threading.Lock()
        self._seen: tuple[int, int, int, int] | None = None
        self._alone: FileAlone | None = None
        self._schema_version = 0
        """Including the write-ahead log, which may hold a table that was just created."""
        self._beside: list[tuple[str, int]] = []
        self._known: CommitRef | None = None
        self._reason: str | None = None
        self._is_in_doubt = False
        self._is_another = False
        """The write-ahead log does not belong to the file."""

    def opened(self, connection: sqlite3.Connection) -> None:
        """The writer thread has connected, for the first time or again, and has read from the log."""
        if self._seen is None:
            self._known = tip_of(connection)
            self._seen = _stat(self._file)
            self._alone = _settled(self._path)
            self._schema_version = _schema_version(connection)
        self._beside = [(str(place), place.stat().st_ino) for place in files_beside(self._path)]

    def close(self, connection: sqlite3.Connection, *, writes: bool = False) -> None:
        """`writes`: it is the writer's. Closing the last connection moves the write-ahead log into the file, which must
        not happen when the file has been replaced."""
        try:
            self.check()
        except Unavailable:
            if self._is_another:
                abandon(connection)
                return
        if writes:
            self._beside = []
        connection.close()

    def check_if_in_doubt(self) -> None:
        """As `check` when the last one failed; otherwise does nothing."""
        if self._is_in_doubt:
            self.check()

    def check(self, *, with_index: bool = True) -> None:
        """Raises `LogChanged` when the files are not those that were opened, `StoreUnavailable` when the log is gone.
        `with_index`: also check the write-ahead log's index, which matters only to processes that start later."""
        self._is_in_doubt = True
        if self._reason is not None:
            raise self._refusal(self._reason)
        try:
            now = _stat(self._file)
        except FileNotFoundError as error:
            reason = f"the file {error.filename} is gone"
            raise StoreUnavailable(self._sentence(reason), path=SETTING) from error
        for place, inode in self._beside if with_index else self._beside[:1]:
            if _inode(place) != inode:
                raise self._mark_changed(f"{place} was removed or replaced")
        if now != self._seen:
            with self._comparing:
                self._compare()
        self._is_in_doubt = False

    def check_commits(self, connection: sqlite3.Connection) -> None:
        """Raises `LogChanged` when the newest commit that this process knows is gone from the log."""
        known = self._known
        if known is not None and not _holds(connection, known):
            raise self._mark_changed(f"the commit at position {known.position:,} is gone")

    def record_appended(self, position: int, commit_id: str) -> None:
        """A commit of this process, which is on the disk."""
        self._known = CommitRef(position, commit_id)

    def record_written(self, connection: sqlite3.Connection) -> None:
        """This process is about to commit a transaction other than an append. It may create tables or remove commits,
        but adds none: what is recorded is also true when the transaction fails."""
        self._known, self._schema_version = tip_of(connection), _schema_version(connection)

    def record_error(self, error: BaseException) -> None:
        """A log that SQLite reports as malformed refuses every later command, wherever the damage is."""
        if is_damage(error):
            self.record_damage(str(error))

    def record_damage(self, problem: str) -> None:
        """Damage that was found when the whole file was read."""
        if self._reason is None:
            self._reason, self._is_another = f"SQLite finds it damaged ({problem})", True
            self._is_in_doubt = True

    def _compare(self) -> None:
        """The file was written to: by a checkpoint, after which it still holds what it held before, or by another
        program."""
        until = time.monotonic() + _SETTLE_SECONDS
        while (before := _stat(self._file)) != self._seen:
            if self._seen is not None and before[:2] != self._seen[:2]:
                raise self._refusal("the file was replaced")
            alone = self._file_alone_if_it_fits()
            if _stat(self._file) == before and alone is not None:
                self._seen, self._alone = before, alone
                return
            if time.monotonic() >= until:
                self._is_another = True
                raise self._mark_changed("the file was written over, or its tables were changed")
            time.sleep(_PAUSE_SECONDS)

    def _file_alone_if_it_fits(self) -> FileAlone | None:
        try:
            with closing(connect_alone(self._path)) as connection:
                now, before = _read_alone(connection), self._alone
                if before is None:
                    return now
                if now[:2] != before[:2] or not before.schema_version <= now.schema_version <= self._schema_version:
                    return None
                if before.tip is not None and not _holds(connection, before.tip):
                    return None
                return now
        except sqlite3.Error:
            return None  # the caller raises when it stays so

    def _mark_changed(self, reason: str) -> LogChanged:
        self._reason, self._is_in_doubt = reason, True
        return self._refusal(reason)

    def _refusal(self, reason: str) -> LogChanged:
        return LogChanged(self._sentence(reason), path=SETTING, retry_after=_RETRY_SECONDS)

    def _sentence(self, reason: str) -> str:
        return (
            f"The event log {self._path} ({SETTING}) was changed while Postlog ran: {reason}. Commands are "
            "refused. Stop every process of Postlog, restore the log with `postlog restore`, and start again."
        )


def abandon(connection: sqlite3.Connection) -> None:
    """Never close it: closing would move a write-ahead log into a file that it does not belong to. The end of the
    process drops the connection without doing so."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def connect_alone(path: Path) -> sqlite3.Connection:
    """To the file without its write-ahead log, and without any lock: what is read may be between two states."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )


def tip_of(connection: sqlite3.Connection) -> CommitRef | None:
    row = connection.execute(_TIP).fetchone()
    return CommitRef(*row) if row else None


def read_alone(path: Path) -> FileAlone | None:
    """None when it can't be read alone: a process that was killed during a checkpoint leaves it so, and its write-ahead
    log completes it."""
    try:
        with closing(connect_alone(path)) as connection:
            return _read_alone(connection)
    except sqlite3.Error:
        return None


def require_log_of_wal(path: Path) -> None:
    """Raises `CannotOpen` for a write-ahead log whose file is gone: SQLite would remove it, and what it holds."""
    wal, _ = files_beside(path)
    if size_of(wal) and not size_of(path):
        raise CannotOpen(
            f"The event log {path} ({SETTING}) is gone, but its write-ahead log {wal.name} exists, perhaps with the "
            "only copy of some commits. Put the file back; or remove both to start with an empty log.",
            path=SETTING,
        )


def require_own_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `CannotOpen` when the write-ahead log beside the file can't be its own, as when a copy was put over a log.
    Everything in the write-ahead log is checked, and nothing more of the file."""
    wal, _ = files_beside(path)
    if not size_of(wal):
        return
    alone = read_alone(path)
    connection.execute("BEGIN")  # others may be writing: all that follows reads one state
    fits = _fits(connection, alone)
    connection.execute("COMMIT")
    if not fits:
        raise foreign_wal(path)


def _fits(connection: sqlite3.Connection, alone: FileAlone | None) -> bool:
    tip = tip_of(connection)
    newest = tip.position if tip else 0
    since = newest
    if alone is not None:
        with_wal = _read_alone(connection)
        if alone[:2] != with_wal[:2] or alone.schema_version > with_wal.schema_version:
            return False
        if alone.tip is not None and not _holds(connection, alone.tip):
            return False
        since = alone.tip.position if alone.tip else 0
    if connection.execute(_COUNT, (since,)).fetchone()[0] != newest - since:
        return False
    checked_from = (min(since, newest - _NEWEST),)
    found: int = connection.execute(_FOUND, checked_from).fetchone()[0]
    count: int = connection.execute(_COUNT, checked_from).fetchone()[0]
    return found == count


def _inode(file: str) -> int | None:
    try:
        return os.stat(file).st_ino  # noqa: PTH116 (as below)
    except FileNotFoundError:
        return None


def is_damage(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _settled(path: Path) -> FileAlone | None:
    """During another process's checkpoint the file alone may be between two states."""
    until = time.monotonic() + _SETTLE_SECONDS
    while (alone := read_alone(path)) is None and time.monotonic() < until:
        time.sleep(_PAUSE_SECONDS)
    return alone


def _read_alone(connection: sqlite3.Connection) -> FileAlone:
    row = connection.execute("SELECT id FROM log").fetchone()
    return FileAlone(row[0] if row else "", application_id(connection), _schema_version(connection), tip_of(connection))


def _schema_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA schema_version").fetchone()[0]
    return version


def _holds(connection: sqlite3.Connection, known: CommitRef) -> bool:
    found = connection.execute(_COMMIT_ID, (known.position,)).fetchone()
    return found is not None and found[0] == known.commit_id


def _stat(file: str) -> tuple[int, int, int, int]:
    status = os.stat(file)  # noqa: PTH116 (a path's own `stat` takes twice as long, and each command pays for it)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
