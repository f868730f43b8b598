"""The log's file: its tables, and how it is recognized.

`commits` has one row a commit, readable with any SQLite shell; triggers refuse to change or delete one. The file's
`application_id` marks it as a log of Postlog, its `user_version` is its format. A backup has another `application_id`,
which distinguishes it from the log whose write-ahead log may lie beside it; when it is opened as the log, it becomes
one.
"""

import sqlite3
from pathlib import Path
from uuid import uuid4

from application.errors import CannotOpen

SETTING = "event_store.sqlite.path"

APPLICATION_ID = 0x504C4F47  # "PLOG"
BACKUP_ID = 0x504C424B  # "PLBK"
FORMAT = 1

NEVER_DELETED = """CREATE TRIGGER commits_are_never_deleted BEFORE DELETE ON commits
        BEGIN SELECT RAISE(ABORT, 'commits are never deleted'); END"""

RECEIPTS = """CREATE TABLE IF NOT EXISTS receipts (
        commit_id      TEXT PRIMARY KEY,
        request_digest TEXT NOT NULL,
        stream_id      TEXT NOT NULL,
        version        INTEGER NOT NULL,
        position       INTEGER NOT NULL,
        kept_at        INTEGER NOT NULL
    ) STRICT"""
"""Logs from before receipts existed get the table when they are opened."""

_TABLES = (
    """CREATE TABLE commits (
        position     INTEGER PRIMARY KEY CHECK (position > 0),
        stream_id    TEXT NOT NULL,
        version      INTEGER NOT NULL CHECK (version > 0),
        last_version INTEGER NOT NULL CHECK (last_version >= version),
        commit_id    TEXT NOT NULL UNIQUE,
        recorded_at  TEXT NOT NULL,
        metadata     TEXT NOT NULL,
        events       TEXT NOT NULL,
        UNIQUE (stream_id, version)
    ) STRICT""",
    """CREATE TRIGGER commits_are_never_changed BEFORE UPDATE ON commits
        BEGIN SELECT RAISE(ABORT, 'commits are never changed'); END""",
    NEVER_DELETED,
    "CREATE TABLE log (id TEXT NOT NULL) STRICT",
    RECEIPTS,
    """CREATE TABLE snapshots (
        stream_id TEXT PRIMARY KEY,
        version   INTEGER NOT NULL,
        position  INTEGER NOT NULL,
        format    TEXT NOT NULL,
        state     BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE relay (
        id       INTEGER PRIMARY KEY CHECK (id = 1),
        owner    TEXT,
        token    INTEGER NOT NULL,
        position INTEGER NOT NULL,
        ends_at  REAL NOT NULL
    ) STRICT""",
)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make a new file a log, and refuse other databases. Several processes may do so at once: one that collides with
    another raises `sqlite3.OperationalError` (busy), and its caller tries again. Raises `CannotOpen` for a file that is
    not a log of Postlog.
    """
    if _is_new(connection):
        connection.execute("BEGIN IMMEDIATE")
        if _is_new(connection):
            _create(connection)
        connection.execute("COMMIT")
    elif application_id(connection) == BACKUP_ID:
        connection.execute("BEGIN IMMEDIATE")
        if application_id(connection) == BACKUP_ID:
            _make_log_of_backup(connection, path)
        connection.execute("COMMIT")
    check(connection, path)
    if not _has_receipts(connection):
        connection.execute(RECEIPTS)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise CannotOpen(
            f"The folder of the event log {path} can't hold a write-ahead log (SQLite stays in mode {mode}); "
            f"name a file on a local disk in {SETTING}.",
            path=SETTING,
        )


def _is_new(connection: sqlite3.Connection) -> bool:
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return tables == 0 and application_id(connection) == 0


def _has_receipts(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'receipts'").fetchone()
    return bool(found[0])


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO log (id) VALUES (?)", (str(uuid4()),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `CannotOpen` for a file that is neither a log of Postlog nor a backup of one."""
    if application_id(connection) not in (APPLICATION_ID, BACKUP_ID):
        raise CannotOpen(
            f"{path} is a SQLite database, but not an event log of Postlog; name another file in {SETTING}.",
            path=SETTING,
        )
    found = _pragma(connection, "user_version")
    if found != FORMAT:
        raise CannotOpen(
            f"The event log {path} has format {found}, but this version of Postlog supports only format {FORMAT}; "
            f"run a newer Postlog, or name another file in {SETTING}.",
            path=SETTING,
        )


def _make_log_of_backup(connection: sqlite3.Connection, path: Path) -> None:
    wal, _ = files_beside(path)
    if size_of(wal):
        raise foreign_wal(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def foreign_wal(path: Path) -> CannotOpen:
    wal, _ = files_beside(path)
    return CannotOpen(
        f"The event log {path} ({SETTING}) can't be opened: the write-ahead log beside it ({wal.name}) belongs to "
        "another file, as when a copy was put over a log. Restore the log with `postlog restore`, which moves such "
        "files aside.",
        path=SETTING,
    )


def files_beside(path: Path) -> tuple[Path, Path]:
    """The write-ahead log and its index: beside the real file if `path` is a link."""
    real = path.resolve()
    return real.with_name(f"{real.name}-wal"), real.with_name(f"{real.name}-shm")


def size_of(path: Path) -> int:
    """0 also when there is no file."""
    return path.stat().st_size if path.exists() else 0


def application_id(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "application_id")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
