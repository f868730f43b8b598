"""The engine for a read database in a SQLite file, and what is particular to its SQL.

`synchronous=NORMAL` with a write-ahead log: a power failure may lose the last transactions, rows and checkpoint
together, and projectors write them again from the log. The event log itself is on the disk before a command is
acknowledged.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
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
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from adapters.sql.backend import ErrorKind, Key, Row, SqlBackend
from adapters.sql.types import Instant, instant_to_text
from adapters.sqlite.read_db_file import SETTING, open_connection
from application.errors import ReadDbUnavailable

_ROWS_AT_ONCE = 5_000
_ROWS_EMPTIED_AT_ONCE = 20_000

_FILE = "file"


def sqlite_backend(path: Path, pool_size: int) -> SqlBackend:
    engine = create_engine(
        "sqlite://",
        creator=lambda: open_connection(path),
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
        writing_together=lambda: _writing(engine),
        key_set=_key_set,
        key_values=_key_values,
        newest_per_post=_newest_per_post,
        upsert=_upsert,
        load=_load,
        empty=lambda table: _empty(engine, table),
        try_lock=lambda: _try_lock(path),
        lock_schema=_nothing_to_lock,
        error_kind=error_kind,
        location=lambda _: _location(path),
        remedy=remedy,
    )


def _follow_the_file(engine: Engine, path: Path) -> None:
    """SQLite keeps using a file that was removed or replaced, and what is written into it is lost when it is closed. So
    a connection is discarded when its file is no longer the one at `path`; the next connection opens the file that is
    there."""

    def remember(_: Any, record: ConnectionPoolEntry) -> None:
        record.info[_FILE] = _identity(path)

    def compare(_: Any, record: ConnectionPoolEntry, __: Any) -> None:
        if record.info[_FILE] != _identity(path):
            raise DisconnectionError(f"{path} was replaced")

    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", compare)


def _identity(path: Path) -> tuple[int, int] | None:
    if not path.exists():
        return None
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    """Takes the file's write lock first: a transaction that has read before may be refused it. What is not committed
    when the connection returns to its pool is rolled back there."""
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.exec_driver_sql("COMMIT")


def _nothing_to_lock(_: Connection) -> None:
    """A writer has the whole file."""


def _location(path: Path) -> str:
    try:
        return str(path.stat().st_ino)
    except OSError:  # it was removed while it was open; the next statement reports that
        return ""


# Statements


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


def _load(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    statement = _insert(table)
    incoming = iter(rows)
    while part := list(islice(incoming, _ROWS_AT_ONCE)):
        _send(connection, statement, table, part)


def _upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    _send(connection, _insert_or_update(table), table, rows)


def _send(connection: Connection, statement: str, table: Table, rows: Iterable[Row]) -> None:
    """Rows go to the driver without a dictionary for each, which takes two thirds of the time. `statement` takes the
    table's columns in their order. There must be a row."""
    values = [list(row) for row in rows]
    for place in _instants(table):
        for row in values:
            row[place] = instant_to_text(row[place])
    connection.exec_driver_sql(statement, [*map(tuple, values)])


@cache
def _insert(table: Table) -> str:
    return _as_text(insert(table))


@cache
def _insert_or_update(table: Table) -> str:
    new = insert(table)
    key = table.primary_key.columns.keys()
    changed = {column.name: new.excluded[column.name] for column in table.c if column.name not in key}
    return _as_text(new.on_conflict_do_update(index_elements=key, set_=changed))


def _as_text(statement: Insert) -> str:
    return str(statement.compile(dialect=sqlite.dialect()))


@cache
def _instants(table: Table) -> Sequence[int]:
    return [place for place, column in enumerate(table.c) if isinstance(column.type, Instant)]


def _empty(engine: Engine, table: Table) -> None:
    """A portion at a time, so that a projector that waits for the file does not wait long."""
    rowid: ColumnClause[int] = literal_column("rowid")
    portion = delete(table).where(
        rowid.in_(select(rowid).select_from(table).limit(_ROWS_EMPTIED_AT_ONCE).scalar_subquery())
    )
    while True:
        with _writing(engine) as connection:
            if connection.execute(portion).rowcount < _ROWS_EMPTIED_AT_ONCE:
                return


# The lock of rebuilds


def _try_lock(path: Path) -> Callable[[], None] | None:
    """The kernel's lock on a file beside the database, which is released when its process ends. Raises
    `ReadDbUnavailable` when the file can't be created, on a full disk for example."""
    place = path.with_name(f"{path.name}.rebuild-lock")
    try:
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_lock(place, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        os.close(handle)
        raise _cannot_lock(place, error) from error
    return lambda: os.close(handle)


def _cannot_lock(place: Path, error: OSError) -> ReadDbUnavailable:
    return ReadDbUnavailable(
        f"The lock of rebuilds beside the read database, {place} ({SETTING}), can't be taken: {error.strerror}. Check "
        f"the disk and the folder.",
        path=SETTING,
    )


# Errors, by SQLite's result code: https://www.sqlite.org/rescode.html

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

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
    if code == sqlite3.SQLITE_CANTOPEN:
        return ErrorKind.UNREACHABLE
    return ErrorKind.REPORTED if code is not None or isinstance(error, OperationalError) else ErrorKind.BUG


def remedy(error: DBAPIError) -> str:
    return _REMEDIES.get(_code(error) or 0, "")


def _code(error: DBAPIError) -> int | None:
    """None for what Python's module refuses before SQLite is asked."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
