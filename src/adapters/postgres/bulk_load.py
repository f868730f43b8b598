"""Many rows into PostgreSQL by COPY."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from adapters.postgres.errors import spoils_session
from adapters.sql.backend import Row


def load(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    """New rows, any number of them; they are sent while they are made."""
    copy(connection, table.name, table.c.keys(), rows)


def copy(connection: Connection, table: str, columns: Iterable[str], rows: Iterable[Row]) -> None:
    driver = cast("psycopg.Connection[Row]", connection.connection.driver_connection)
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with _as_sqlalchemy(connection, driver), driver.cursor() as cursor, cursor.copy(statement) as copying:
        for row in rows:
            copying.write_row(row)


@contextmanager
def _as_sqlalchemy(connection: Connection, driver: "psycopg.Connection[Row]") -> Iterator[None]:
    """SQLAlchemy knows nothing of COPY; its errors must look like those of other statements all the same."""
    try:
        yield
    except psycopg.Error as error:
        is_lost = bool(driver.closed) or spoils_session(error)
        if is_lost:
            connection.invalidate(error)
        translated = DBAPIError.instance(
            "COPY",
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=connection.dialect,
        )
        raise translated from error
