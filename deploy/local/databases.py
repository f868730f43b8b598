"""A new database on a running server, dropped at the end."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pymongo
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from local.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoDatabase:
    """`url` names the server and its replica set, `name` the database."""

    url: str
    name: str


@contextmanager
def fresh_mongo_database(url: str) -> Iterator[MongoDatabase]:
    name = _new_name()
    try:
        yield MongoDatabase(url=url, name=name)
    finally:
        with pymongo.MongoClient[dict[str, Any]](url, timeoutMS=20_000) as client:
            client.drop_database(name)


@contextmanager
def fresh_postgres_database(admin_url: str) -> Iterator[str]:
    """SQLAlchemy URL of a new database. Roles belong to the whole server and are not dropped with it."""
    admin = make_url(admin_url)
    name = _new_name()
    _execute(admin_url, f"CREATE DATABASE {name}")
    try:
        yield admin.set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def fresh_sqlserver_database(admin_url: str) -> Iterator[str]:
    """SQLAlchemy URL of a new database. Its sessions are ended when it is dropped."""
    admin = make_url(admin_url)
    name = _new_name()
    engine = create_engine(admin, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
            try:
                yield admin.set(database=name).render_as_string(hide_password=False)
            finally:
                wait_until(
                    lambda: _dropped_from_sqlserver(connection, name),
                    seconds=20,
                    failure=lambda: TimeoutError(f"SQL Server did not drop the database {name}."),
                )
    finally:
        engine.dispose()


def _dropped_from_sqlserver(connection: Connection, name: str) -> bool:
    of_database = "FROM sys.dm_exec_sessions WHERE database_id = DB_ID(:name) AND session_id IS NOT NULL"
    sessions = text(f"SELECT session_id {of_database}")
    try:
        for session in connection.execute(sessions, {"name": name}).scalars():
            connection.execute(text(f"KILL {session}"))
        connection.execute(text(f"DROP DATABASE {name}"))
    except DBAPIError:  # a session is ending
        return False
    return True


def _new_name() -> str:
    return f"test_{uuid.uuid4().hex[:12]}"


def _execute(url: str, statement: str) -> None:
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())
