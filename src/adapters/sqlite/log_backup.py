"""Backup and restore of the log's file.

A copy is made by `VACUUM INTO`, of one state and while others write, under a temporary name; it gets its own name when
it is on the disk and found sound. SQLite's own lock on the file shows whether a process has the log open.
"""

import asyncio
import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from adapters.sqlite.integrity import problems
from adapters.sqlite.log_guard import connect_alone, require_log_of_wal, require_own_wal, tip_of
from adapters.sqlite.log_schema import BACKUP_ID, SETTING, check, files_beside, size_of
from application.errors import BackupRefused
from application.ports.commit_log import LogCopy

T = TypeVar("T")

_PENDING_BYTE, _LOCK_BYTES = 0x4000_0000, 512
"""Where SQLite locks: every connection to a log holds a part of it, from its first query until it is closed."""

_BUSY_SECONDS = 10.0

_MISSING_POSITION = """SELECT position - 1 FROM commits AS a WHERE position > 1
    AND NOT EXISTS (SELECT 1 FROM commits AS b WHERE b.position = a.position - 1) ORDER BY position LIMIT 1"""
_FIRST_POSITION = "SELECT min(position) FROM commits"
_MISSING_VERSION = """SELECT stream_id, expected FROM (
        SELECT stream_id, version, 1 + lag(last_version, 1, 0) OVER stream AS expected FROM commits
        WINDOW stream AS (PARTITION BY stream_id ORDER BY version))
    WHERE version != expected LIMIT 1"""


class SqliteLogBackup:
    """`path` is the log's."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._connection: sqlite3.Connection | None = None
        self._cancelled = False

    async def backup(self, file: Path, *, overwrite: bool) -> LogCopy:
        return await self._run(lambda: self._backup(file.resolve(), overwrite=overwrite))

    async def restore(self, file: Path) -> LogCopy:
        return await self._run(lambda: self._restore(file.resolve()))

    async def _run(self, work: Callable[[], T]) -> T:
        """In a thread. A caller that is cancelled waits until no unfinished file is left."""
        working = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            self._cancelled = True
            while not working.done():
                if (connection := self._connection) is not None:
                    with suppress(sqlite3.ProgrammingError):  # it was closed just now
                        connection.interrupt()
                await asyncio.wait([working], timeout=0.1)
            with suppress(Exception):  # the caller is cancelled and needs no result
                working.result()
            raise

    def _backup(self, file: Path, *, overwrite: bool) -> LogCopy:
        _refuse_same_file(file, self._path)
        if not overwrite and file.exists():
            raise BackupRefused(f"{file} exists already; name another file, or replace it with --overwrite.")
        if size_of(files_beside(file)[0]):
            raise BackupRefused(f"{file} is a database in use: it has a write-ahead log; name another file.")
        if not self._path.exists():
            raise BackupRefused(f"There is no event log {self._path} ({SETTING}) to back up.")
        with self._copied(self._path, file.parent) as (part, copy):
            if overwrite:
                part.replace(file)
            else:
                _take_free_name(part, file)
            _sync(file.parent)
        return LogCopy(file=file, log_id=copy.log_id, position=copy.position, gaps=copy.gaps)

    def _restore(self, file: Path) -> LogCopy:
        _refuse_same_file(file, self._path)
        if not file.is_file():
            raise BackupRefused(f"There is no file {file} to restore.")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self._path), self._copied(file, self._path.parent) as (part, copy):
            if copy.gaps:
                raise BackupRefused(f"{file} is not a complete log: {'; '.join(copy.gaps)}. Restore another backup.")
            _give_to_owner(part, self._path)
            kept = _keep(self._path)
            # First the file: beside the old write-ahead log it is refused until this is run again, and harms nothing.
            part.replace(self._path)
            for beside in files_beside(self._path):
                beside.unlink(missing_ok=True)
            _sync(self._path.parent)
        return LogCopy(file=file, log_id=copy.log_id, position=copy.position, kept=kept)

    @contextmanager
    def _copied(self, source: Path, folder: Path) -> Iterator[tuple[Path, LogCopy]]:
        """A sound copy of the log in `source`, on the disk, under a temporary name in `folder`, and its `LogCopy`."""
        part: Path | None = None
        try:
            handle, name = tempfile.mkstemp(dir=folder, prefix=f".{source.name}.", suffix=".part")
            part = Path(name)
            os.close(handle)
            with self._source(source) as connection:
                connection.execute("VACUUM INTO ?", (name,))
            with self._watched(sqlite3.connect(name, isolation_level=None)) as connection:
                connection.execute(f"PRAGMA application_id = {BACKUP_ID}")
                copy = _examined(connection, source)
            _sync(part)
            if self._cancelled:
                raise BackupRefused("It was interrupted.")
            yield part, copy
        except sqlite3.Error as error:
            raise BackupRefused(f"{source} can't be copied: {error}. Nothing was changed.") from error
        finally:
            if part is not None:
                part.unlink(missing_ok=True)

    @contextmanager
    def _source(self, path: Path) -> Iterator[sqlite3.Connection]:
        """Raises `BackupRefused` for a file that is not a sound log."""
        require_log_of_wal(path)
        wal = size_of(files_beside(path)[0])
        if wal or path == self._path:
            # Read only, so that closing does not move a write-ahead log into a file that it may not belong to.
            address = f"{path.as_uri()}?mode={'ro' if wal else 'rw'}"
            connection = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        else:
            connection = connect_alone(path)  # which creates no file beside it, and needs no right to
        with self._watched(connection):
            check(connection, path)
            require_own_wal(connection, path)
            _require_sound(connection, path)
            yield connection

    @contextmanager
    def _watched(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """A cancelled caller can interrupt it while the block lasts."""
        self._connection = connection
        try:
            with closing(connection):
                yield connection
        finally:
            self._connection = None


def _require_sound(connection: sqlite3.Connection, path: Path) -> None:
    faults = problems(connection)
    if faults:
        raise BackupRefused(f"{path} is damaged: {faults[0]}. Use another backup.")


def _examined(connection: sqlite3.Connection, source: Path) -> LogCopy:
    _require_sound(connection, source)
    tip = tip_of(connection)
    log_id = connection.execute("SELECT id FROM log").fetchone()
    if log_id is None:
        raise BackupRefused(f"{source} is damaged: the log has no id. Use another backup.")
    position = tip.position if tip else 0
    return LogCopy(file=source, log_id=log_id[0], position=position, gaps=_gaps(connection))


def _gaps(connection: sqlite3.Connection) -> list[str]:
    gaps = []
    first = connection.execute(_FIRST_POSITION).fetchone()[0]
    missing = connection.execute(_MISSING_POSITION).fetchone()
    if first is not None and first > 1:
        gaps.append(f"it begins at position {first:,}")
    elif missing is not None:
        gaps.append(f"the commit at position {missing[0]:,} is missing")
    version = connection.execute(_MISSING_VERSION).fetchone()
    if version is not None:
        gaps.append(f"of post {version[0]} version {version[1]} is missing")
    return gaps


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Raises `BackupRefused` while a process has the log open. None can open it until the block ends. Nothing in the
    block opens the file itself: closing it again would give the lock back."""
    if not path.exists():
        yield
        return
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _PENDING_BYTE)
        yield
    except (BlockingIOError, PermissionError) as error:
        raise BackupRefused(
            f"The event log {path} ({SETTING}) is open in another process. Stop every process of Postlog (and every "
            "SQLite shell) that uses it, and run this again."
        ) from error
    finally:
        os.close(handle)


def _keep(path: Path) -> Path | None:
    """Give the existing log a second name, and its write-ahead log too."""
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    wal, _ = files_beside(path)
    if wal.exists():
        os.link(wal, files_beside(kept)[0])
    os.link(path, kept)
    return kept


def _refuse_same_file(file: Path, log: Path) -> None:
    if file.exists() and log.exists() and file.samefile(log):
        raise BackupRefused(f"{file} is the log itself ({SETTING}); name another file.")


def _take_free_name(part: Path, file: Path) -> None:
    try:
        os.link(part, file)
    except FileExistsError as error:
        raise BackupRefused(f"{file} exists already; name another file, or replace it with --overwrite.") from error


def _give_to_owner(part: Path, log: Path) -> None:
    """Owner and mode of the existing log; without one, the folder's owner, who alone may read it."""
    like = log.stat() if log.exists() else None
    owner = like or log.parent.stat()
    if (owner.st_uid, owner.st_gid) != (part.stat().st_uid, part.stat().st_gid):
        with suppress(PermissionError):  # only the superuser can do it, and only for them it is needed
            os.chown(part, owner.st_uid, owner.st_gid)
    if like is not None:
        part.chmod(like.st_mode & 0o777)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
