"""What SQLite's errors mean, by their result code: https://www.sqlite.org/rescode.html"""

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

from adapters.sql.backend import Trouble

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NOT_OPENED = {sqlite3.SQLITE_CANTOPEN}

_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on the disk",
    sqlite3.SQLITE_READONLY: "let this user write the file and its folder",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: stop Postlog, delete it with its -wal and -shm files, and start "
    "again, and it is filled from the log",
    sqlite3.SQLITE_NOTADB: "it is no database any more: name another file, or delete it, and it is filled from the log",
}


def trouble(error: DBAPIError) -> Trouble:
    code = _code(error)
    if code in _BUSY:
        return Trouble.TRANSIENT
    if code == sqlite3.SQLITE_ERROR and str(error.orig).startswith("no such table"):
        return Trouble.NO_TABLES
    if code in _NOT_OPENED:
        return Trouble.AWAY
    return Trouble.REFUSED if code is not None or isinstance(error, OperationalError) else Trouble.FAULT


def remedy(error: DBAPIError) -> str:
    return _REMEDIES.get(_code(error) or 0, "")


def _code(error: DBAPIError) -> int | None:
    """None for what Python's module refuses before SQLite is asked."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
