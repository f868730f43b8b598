"""Sends many rows, and many statements, at once.

Rows are one parameter, as JSON. For an upsert the server takes no longer than for a COPY into a temporary table and a
statement that reads it, and for new rows a third longer than for a COPY. But this process, which has more to do than
the server, takes half the time, and it is one round trip.

Statements go together in psycopg's pipeline: the next one is sent without waiting for the answer to the one before.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from itertools import islice
from typing import Any, cast

import msgspec
import psycopg
from sqlalchemy import Connection, Dialect, Select, Table, Text, UpdateBase, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import JSON, Insert, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from adapters.postgres.errors import breaks_session
from adapters.sql.backend import Row, Step, execute_one_by_one

_ROWS_AT_ONCE = 1_000
"""A parameter may have 1 GB; so many of the longest messages have less than a fifth of it."""

_PIPELINE = "postlog.pipeline"


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    _send(connection, _upsert(table), table, rows)


def load(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    _send(connection, _insert(table), table, rows)


def _send(connection: Connection, statement: Insert, table: Table, rows: Iterable[Row]) -> None:
    names, incoming = table.c.keys(), iter(rows)
    while part := [dict(zip(names, row, strict=True)) for row in islice(incoming, _ROWS_AT_ONCE)]:
        connection.execute(statement, {"rows": msgspec.json.encode(part).decode()})


@cache
def _insert(table: Table) -> Insert:
    rows = func.json_to_recordset(bindparam("rows", type_=Text()).cast(JSON))
    columns = [column(each.name, each.type) for each in table.c]
    incoming = rows.table_valued(*columns).render_derived(name="incoming", with_types=True)
    return insert(table).from_select(table.c.keys(), select(incoming))


@cache
def _upsert(table: Table) -> Insert:
    new = _insert(table)
    key = table.primary_key.columns.keys()
    changed = {each.name: new.excluded[each.name] for each in table.c if each.name not in key}
    return new.on_conflict_do_update(index_elements=key, set_=changed)


def execute(connection: Connection, steps: Sequence[Step]) -> list[Sequence[Row]]:
    pipeline: psycopg.Pipeline | None = connection.info.get(_PIPELINE)
    if pipeline is None:
        return execute_one_by_one(connection, steps)
    driver = _driver(connection)
    compiled = [(_compiled(statement, connection.dialect), values) for statement, values in steps]
    with _as_sqlalchemy(connection, driver):
        cursors = [driver.execute(str(each).encode(), each.construct_params(values)) for each, values in compiled]
        pipeline.sync()
        return [cursor.fetchall() if cursor.description else [(cursor.rowcount,)] for cursor in cursors]


@lru_cache
def _compiled(statement: Select[*tuple[Any, ...]] | UpdateBase, dialect: Dialect) -> SQLCompiler:
    return statement.compile(dialect=dialect)


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Commits, too, since psycopg ends a pipeline with a message after which the server does not notice any more that
    the session is idle in a transaction. SQLAlchemy takes a statement whose result has not come yet for one that
    returns no rows, which is right for those that write."""
    driver, info = _driver(connection), connection.info
    with _as_sqlalchemy(connection, driver), driver.pipeline() as pipeline:
        info[_PIPELINE] = pipeline
        try:
            yield
            driver.commit()
        except BaseException:
            with suppress(psycopg.Error):  # later statements fail because an earlier one did
                pipeline.sync()
            raise
        finally:
            del info[_PIPELINE]


def _driver(connection: Connection) -> "psycopg.Connection[Row]":
    return cast("psycopg.Connection[Row]", connection.connection.driver_connection)


def _is_stuck(connection: Connection, driver: "psycopg.Connection[Row]") -> bool:
    """Still in the mode of a pipeline that has ended, so that it can't roll back: the server ended the session just
    after a commit, and the end of the connection has not arrived yet."""
    return _PIPELINE not in connection.info and driver.info.pipeline_status != psycopg.pq.PipelineStatus.OFF


@contextmanager
def _as_sqlalchemy(connection: Connection, driver: "psycopg.Connection[Row]") -> Iterator[None]:
    """SQLAlchemy does not know pipelines; their errors must look like those of other statements."""
    try:
        yield
    except psycopg.Error as error:
        is_lost = bool(driver.closed) or breaks_session(error) or _is_stuck(connection, driver)
        if is_lost:
            connection.invalidate(error)
            connection.engine.dispose()  # sessions that are not in use may be in the same state
        translated = DBAPIError.instance(
            None,
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=connection.dialect,
        )
        raise translated from error
