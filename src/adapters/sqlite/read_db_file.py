"""The file of a read database on SQLite: creates it, and opens connections to it, without SQLAlchemy."""

import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

from application.errors import CannotOpen

SETTING = "read_db.sqlite.path"

_BUSY_SECONDS = 5.0
_APPLICATION_ID = 0x504C5244  # "PLRD"


def prepare(path: Path) -> None:
    """Creates the file and its folder when they are missing. Raises `CannotOpen`, also for a file that is no read
    database."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _created(path, time.monotonic() + _BUSY_SECONDS)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_open(path, error) from error
    if mode != "wal":
        raise _cannot_open(path, f"its folder can't hold a write-ahead log (SQLite stays in mode {mode})")
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            raise _cannot_open(path, f"{place} is not writable")


def open_connection(path: Path, mode: Literal["rw", "rwc"] = "rw") -> sqlite3.Connection:
    """Without Python's implicit transactions. `rw` does not create a missing file."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _created(path: Path, deadline: float) -> str:
    """The journal's mode. To change it SQLite needs the file alone, and does not wait for others who do the same."""
    while True:
        try:
            with closing(open_connection(path, "rwc")) as connection:
                _mark(connection, path)
                mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                return mode
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - so that they don't meet again


def _mark(connection: sqlite3.Connection, path: Path) -> None:
    """The file carries a mark, so that an event log, for example, is not taken for a read database."""
    if _application_id(connection) == _APPLICATION_ID:
        return
    connection.execute("BEGIN IMMEDIATE")
    found = _application_id(connection)  # again: another process may have been first, and have created its tables too
    if found != _APPLICATION_ID:
        if found or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise _cannot_open(path, "it is a SQLite database, but no read database of Postlog")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute("COMMIT")


def _application_id(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return found


def _cannot_open(path: Path, why: object) -> CannotOpen:
    return CannotOpen(
        f"The read database {path} can't be opened: {why}. Check the file and its folder, "
        f"or name another file in {SETTING}.",
        path=SETTING,
    )
