"""A database of its own inside a running server, dropped at the end."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pymongo
from sqlalchemy import make_url


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
    """SQLAlchemy's URL of a new database; roles belong to the whole server and are not dropped with it."""
    admin = make_url(admin_url)
    name = _new_name()
    _execute(admin_url, f"CREATE DATABASE {name}")
    try:
        yield admin.set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


def _new_name() -> str:
    return f"test_{uuid.uuid4().hex[:12]}"


def _execute(url: str, statement: str) -> None:
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())
