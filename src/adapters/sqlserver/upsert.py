"""Whole rows into SQL Server, where some are there before. Its MERGE is better left alone, and a server that speaks its
protocol has none: what is there is updated, and what is not is inserted. Nobody else writes these rows meanwhile, since
their checkpoint is locked."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Table,
    Update,
    and_,
    bindparam,
    insert,
    select,
    update,
)

from adapters.sql.backend import Row
from adapters.sqlserver.json_rows import as_json, json_rows
from adapters.sqlserver.long_texts import divided

_ROWS_AT_ONCE = 2_000
"""A statement that locks 5,000 rows locks their table instead, against projectors of other partitions too."""


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    short, long = divided(rows)
    for first in range(0, len(short), _ROWS_AT_ONCE):
        part = short[first : first + _ROWS_AT_ONCE]
        values = {"incoming": as_json(part)}
        if connection.execute(_update(table), values).rowcount < len(part):
            connection.execute(_insert_missing(table), values)
    for row in long:
        new = dict(zip(table.c.keys(), row, strict=True))
        if not connection.execute(_update_one(table), {f"new_{name}": value for name, value in new.items()}).rowcount:
            connection.execute(insert(table), new)


@cache
def _update(table: Table) -> Update:
    incoming = _incoming(table)
    changed = {column: incoming.c[column.name] for column in table.c if not column.primary_key}
    return update(table).values(changed).where(_is_same(table, incoming))


@cache
def _insert_missing(table: Table) -> Insert:
    incoming = _incoming(table)
    is_there = select(table.primary_key.columns.values()[0]).where(_is_same(table, incoming)).exists()
    return insert(table).from_select(table.c.keys(), select(incoming).where(~is_there))


@cache
def _update_one(table: Table) -> Update:
    new = {column: bindparam(f"new_{column.name}", type_=column.type) for column in table.c}
    changed = {column: value for column, value in new.items() if not column.primary_key}
    return update(table).values(changed).where(*(key == new[key] for key in table.primary_key.columns))


@cache
def _incoming(table: Table) -> FromClause:
    return json_rows(list(table.c), "incoming")


def _is_same(table: Table, incoming: FromClause) -> ColumnElement[bool]:
    return and_(*(key == incoming.c[key.name] for key in table.primary_key.columns))
