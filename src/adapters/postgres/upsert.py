"""Whole rows into PostgreSQL, where some are there before: a few as they come; many by COPY into a temporary table and
from there in one statement, in half the time that `UNNEST` of arrays takes.
"""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, MetaData, Table, select, text
from sqlalchemy.dialects.postgresql import Insert, insert

from adapters.postgres.bulk_load import copy
from adapters.sql.backend import Row

_FEW = 25


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    columns = table.c.keys()
    if len(rows) <= _FEW:
        connection.execute(_insert_few(table), [dict(zip(columns, row, strict=True)) for row in rows])
        return
    incoming = _incoming(table)
    # Once a connection; what is in it goes when the transaction ends. Whoever may connect may do this, too.
    connection.execute(
        text(f"CREATE TEMPORARY TABLE IF NOT EXISTS {incoming.name} (LIKE {table.name}) ON COMMIT DELETE ROWS")
    )
    copy(connection, incoming.name, columns, rows)
    connection.execute(_insert_incoming(table))


@cache
def _insert_few(table: Table) -> Insert:
    return _or_update(insert(table), table)


@cache
def _insert_incoming(table: Table) -> Insert:
    return _or_update(insert(table).from_select(table.c.keys(), select(_incoming(table))), table)


@cache
def _incoming(table: Table) -> Table:
    return table.to_metadata(MetaData(), name=f"incoming_{table.name}")


def _or_update(new: Insert, table: Table) -> Insert:
    key = table.primary_key.columns.keys()
    changed = {column.name: new.excluded[column.name] for column in table.c if column.name not in key}
    return new.on_conflict_do_update(index_elements=key, set_=changed)
