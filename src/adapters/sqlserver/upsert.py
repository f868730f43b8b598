"""Whole rows into SQL Server, where some are there before: these are updated, and the others inserted. MERGE could do
both, but has a name for deadlocks and surprises, and a server that speaks SQL Server's protocol may not have it.

Between the look and the writing nobody else writes these rows: their checkpoint is locked.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, and_, select

from adapters.sql.backend import Row
from adapters.sqlserver.bulk_load import load
from adapters.sqlserver.json_keys import key_set, key_values
from adapters.sqlserver.parameter_arrays import send


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """The columns of the table's key come first."""
    length = len(table.primary_key)
    keys = [row[:length] for row in rows]
    there = {tuple(key) for key in connection.execute(_those_there(table), key_values(keys))}
    changed = tuple(table.c)[length:] + tuple(table.c)[:length]
    send(connection, _update(table), changed, [row[length:] + row[:length] for row in rows if row[:length] in there])
    load(connection, table, [row for row in rows if row[:length] not in there])


@cache
def _those_there(table: Table) -> Select[*tuple[Any, ...]]:
    key = _key(table)
    wanted = key_set(key)
    return select(*key).join_from(wanted, table, and_(*(column == wanted.c[column.name] for column in key)))


@cache
def _update(table: Table) -> str:
    key = [column.name for column in _key(table)]
    values = ", ".join(f"{name} = ?" for name in _names(table) if name not in key)
    return f"UPDATE {table.name} SET {values} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608


def _names(table: Table) -> list[str]:
    return table.c.keys()


def _key(table: Table) -> list[Column[Any]]:
    return list(table.primary_key.columns)
