"""Connections to the log's file, and what SQLite's errors mean."""

import os
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Literal

from adapters.sqlite.log_guard import abandon, is_damage, require_log_of_wal, require_own_wal
from adapters.sqlite.log_schema import SETTING, files_beside, prepare, size_of
from application.errors import CannotOpen, StoreUnavailable

_OPEN_SECONDS = 10.0


def connect(path: Path, mode: Literal["rw", "rwc"], busy_seconds: float) -> sqlite3.Connection:
    """Without Python's implicit transactions; `busy_seconds` is how long SQLite itself waits for a lock. `rw` does not
    make the file when it is gone."""
    address = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def open_log(path: Path) -> sqlite3.Connection:
    """The file and its folder are made when they are missing. Raises `CannotOpen`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _prepared(path)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_open(path, error) from error
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            connection.close()
            raise _cannot_open(path, f"{place} is not writable")
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


def _prepared(path: Path) -> sqlite3.Connection:
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        try:
            return _prepared_once(path)
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(_pause())


def _prepared_once(path: Path) -> sqlite3.Connection:
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
    """Seconds; jittered, so that processes which poll for one lock don't keep step."""
    return random.uniform(0.000_2, 0.002)  # noqa: S311 no secret


def _cannot_open(path: Path, why: object) -> CannotOpen:
    remedy = "Check the file and its folder"
    if isinstance(why, sqlite3.Error) and is_damage(why):
        remedy = "Bring a backup back with `postlog restore`"
    return CannotOpen(
        f"The event log {path} can't be opened: {why}. {remedy}, or name another file in {SETTING}.", path=SETTING
    )
