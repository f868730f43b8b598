"""What SQLite's errors mean."""

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

from adapters.sql.backend import Trouble

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def trouble(error: DBAPIError) -> Trouble:
    code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _BUSY:
        return Trouble.TRANSIENT
    if code == sqlite3.SQLITE_ERROR and str(error.orig).startswith("no such table"):
        return Trouble.NO_TABLES
    if code in _BROKEN or (code != sqlite3.SQLITE_ERROR and isinstance(error, OperationalError)):
        return Trouble.AWAY
    return Trouble.FAULT
