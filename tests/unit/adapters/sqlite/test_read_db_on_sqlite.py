"""The read database in a SQLite file keeps the contracts."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from adapters.sqlite.read_db import sqlite_read_db
from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb
from contracts.sql_read_db import NewSqlReadDb, SqlReadDbContract, read_db_opener


@pytest.fixture(autouse=True)
def one_result_at_a_time() -> Iterator[None]:
    """All rows of a statement are read before the next one is sent on its connection. SQL Server refuses anything else,
    and most of these statements are sent to it as well."""
    with (
        listening("before_cursor_execute", require_nothing_unread),
        listening("after_cursor_execute", remember_result),
    ):
        yield


@contextmanager
def listening(name: str, listener: Any) -> Iterator[None]:
    event.listen(Engine, name, listener)
    yield
    event.remove(Engine, name, listener)


def require_nothing_unread(connection: Connection, _: object, statement: str, *__: object) -> None:
    unread = connection.info.pop("unread", None)
    try:
        if unread is not None:
            cursor, earlier = unread
            next(cursor, None)
            pytest.fail(f"rows of {earlier!r} are unread before {statement!r}")
    except sqlite3.ProgrammingError:  # SQLAlchemy has closed it, after the last row
        pass


def remember_result(connection: Connection, cursor: sqlite3.Cursor, statement: str, *_: object) -> None:
    if cursor.description is not None:
        connection.info["unread"] = cursor, statement


@pytest.fixture
def new_sql_database(tmp_path: Path) -> NewSqlReadDb:
    return lambda: sqlite_read_db(tmp_path / "read-db.sqlite", make_tables=False)


@pytest.fixture
def open_read_db(new_sql_database: NewSqlReadDb) -> OpenReadDb:
    return read_db_opener(new_sql_database)


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestPostViews(PostViewsContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


class TestSqlReadDb(SqlReadDbContract):
    pass
