"""The engine for a read database in a SQLite file, and what is particular to its SQL.

`synchronous=NORMAL` with a write-ahead log: at a power cut the last transactions may be gone, rows and checkpoint
together, and projectors write them again from the log. The log itself is on the disk before anybody is answered.

What SQLite's errors mean, by their result code: https://www.sqlite.org/rescode.html

The lock of rebuilds: the kernel's lock on a file beside the database, which goes when its process goes.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnClause,
    Connection,
    Engine,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from adapters.sql.backend import ErrorKind, Key, SqlBackend
from adapters.sqlite.bulk_load import load
from adapters.sqlite.read_db_file import SETTING, connect
from adapters.sqlite.upsert import upsert
from application.errors import ReadDbUnavailable

_ROWS_EMPTIED = 20_000

_FILE = "file"


def sqlite_backend(path: Path, pool_size: int) -> SqlBackend:
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(path),
        poolclass=QueuePool,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
    )
    _follow_the_file(engine, path)
    return SqlBackend(
        engine=engine,
        writing=lambda: _writing(engine),
        key_set=_key_set,
        key_values=_key_values,
        newest_per_post=_newest_per_post,
        upsert=upsert,
        load=load,
        empty=lambda table: _empty(engine, table),
        try_lock=lambda: try_lock(path),
        lock_schema=_nothing_to_lock,
        error_kind=error_kind,
        location=lambda _: _location(path),
        remedy=remedy,
    )


def _follow_the_file(engine: Engine, path: Path) -> None:
    """SQLite goes on with a file that was removed or replaced, and what is written into it is lost when it is closed.
    So a connection is given up when its file is not the one at `path` any more; the next one opens what is there."""

    def note(_: Any, record: ConnectionPoolEntry) -> None:
        record.info[_FILE] = _identity(path)

    def compare(_: Any, record: ConnectionPoolEntry, __: Any) -> None:
        if record.info[_FILE] != _identity(path):
            raise DisconnectionError(f"{path} was replaced")

    event.listen(engine, "connect", note)
    event.listen(engine, "checkout", compare)


def _identity(path: Path) -> tuple[int, int] | None:
    if not path.exists():
        return None
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    """Takes the file's write lock first: a transaction that has read before may be refused it. What is not committed
    when the connection goes back to its pool is rolled back there."""
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.exec_driver_sql("COMMIT")


def _key_set(columns: Sequence[Column[Any]]) -> FromClause:
    """SQLite takes a limited number of parameters; these keys are one, in JSON."""
    keys = func.json_each(bindparam("wanted", type_=Text())).table_valued("value")
    values = [
        type_coerce(func.json_extract(keys.c.value, literal_column(f"'$[{place}]'")), column.type).label(column.name)
        for place, column in enumerate(columns)
    ]
    return select(*values).subquery("wanted")


def _key_values(keys: Sequence[Key]) -> Mapping[str, str]:
    return {"wanted": json.dumps(keys)}


def _newest_per_post(wanted: FromClause, comments: Table, at_most: int) -> Select[*tuple[Any, ...]]:
    of_post = comments.alias("of_post")
    newest = (
        select(of_post.c.comment_id)
        .where(of_post.c.post_id == wanted.c.post_id)
        .order_by(of_post.c.comment_date.desc(), of_post.c.comment_id.desc())
        .limit(at_most)
        .correlate(wanted)
    )
    is_newest = and_(comments.c.post_id == wanted.c.post_id, comments.c.comment_id.in_(newest))
    return select(comments).join_from(wanted, comments, is_newest)


def _empty(engine: Engine, table: Table) -> None:
    """A portion at a time: a projector that waits for the file does not wait for long."""
    rowid: ColumnClause[int] = literal_column("rowid")
    portion = delete(table).where(rowid.in_(select(rowid).select_from(table).limit(_ROWS_EMPTIED).scalar_subquery()))
    while True:
        with _writing(engine) as connection:
            if connection.execute(portion).rowcount < _ROWS_EMPTIED:
                return


def _location(path: Path) -> str:
    try:
        return str(path.stat().st_ino)
    except OSError:  # it was taken away while it was open, and what is done next will say so
        return ""


def _nothing_to_lock(_: Connection) -> None:
    """Whoever writes has the whole file."""


_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NOT_OPENED = {sqlite3.SQLITE_CANTOPEN}

_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on the disk",
    sqlite3.SQLITE_READONLY: "let this user write the file and its folder",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: stop Postlog, delete it with its -wal and -shm files, and start "
    "again, and it is filled from the log",
    sqlite3.SQLITE_NOTADB: "it is no database any more: name another file, or delete it, and it is filled from the log",
}


def error_kind(error: DBAPIError) -> ErrorKind:
    code = _code(error)
    if code in _BUSY:
        return ErrorKind.TRANSIENT
    if code == sqlite3.SQLITE_ERROR and str(error.orig).startswith("no such table"):
        return ErrorKind.NO_TABLES
    if code in _NOT_OPENED:
        return ErrorKind.AWAY
    return ErrorKind.REFUSED if code is not None or isinstance(error, OperationalError) else ErrorKind.FAULT


def remedy(error: DBAPIError) -> str:
    return _REMEDIES.get(_code(error) or 0, "")


def _code(error: DBAPIError) -> int | None:
    """None for what Python's module refuses before SQLite is asked."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def try_lock(path: Path) -> Callable[[], None] | None:
    """What it answers gives the lock back; None: another process, or another rebuild of this one, has it. Raises
    `ReadDbUnavailable` when the file can't be made, on a full disk, say."""
    place = path.with_name(f"{path.name}.rebuild-lock")
    try:
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unavailable(place, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        os.close(handle)
        raise _unavailable(place, error) from error
    return lambda: os.close(handle)


def _unavailable(place: Path, error: OSError) -> ReadDbUnavailable:
    return ReadDbUnavailable(
        f"The lock of rebuilds beside the read database, {place} ({SETTING}), can't be taken: {error.strerror}. Check "
        f"the disk and the folder.",
        path=SETTING,
    )
