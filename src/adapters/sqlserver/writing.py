"""Writes whole rows into SQL Server, many at once, and sets the types of all parameters."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    Connection,
    Integer,
    Select,
    SmallInteger,
    Table,
    UnicodeText,
    and_,
    select,
)
from sqlalchemy.types import TypeEngine

from adapters.sql.backend import Row
from adapters.sql.datetime2 import LENGTH, as_parameter
from adapters.sql.types import Id, Instant, OrdinalText
from adapters.sqlserver import driver
from adapters.sqlserver.dialect import key_set, key_values

_ROWS_AT_ONCE = 5_000
_SIZES = "postlog_input_sizes"

Size = tuple[int, int, int]
"""ODBC's type, the length in characters (0: any), the number of decimal places."""


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Existing rows are updated, the others inserted. MERGE could do both, but is known for deadlocks and bugs, and a
    server that speaks SQL Server's protocol may not have it. Between the SELECT and the writing no other process writes
    these rows: their checkpoint is locked. The columns of the table's key come first."""
    length = len(table.primary_key)
    keys = [row[:length] for row in rows]
    existing = {tuple(key) for key in connection.execute(_existing(table), key_values(keys))}
    changed = tuple(table.c)[length:] + tuple(table.c)[:length]
    _send(
        connection, _update(table), changed, [row[length:] + row[:length] for row in rows if row[:length] in existing]
    )
    load(connection, table, [row for row in rows if row[:length] not in existing])


def load(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    incoming = iter(rows)
    while part := list(islice(incoming, _ROWS_AT_ONCE)):
        _send(connection, _insert(table), tuple(table.c), part)


@cache
def _existing(table: Table) -> Select[*tuple[Any, ...]]:
    key = list(table.primary_key.columns)
    wanted = key_set(key)
    return select(*key).join_from(wanted, table, and_(*(column == wanted.c[column.name] for column in key)))


@cache
def _update(table: Table) -> str:
    key = table.primary_key.columns.keys()
    values = ", ".join(f"{name} = ?" for name in table.c.keys() if name not in key)  # noqa: SIM118 (not a dict)
    return f"UPDATE {table.name} SET {values} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608


@cache
def _insert(table: Table) -> str:
    places = ", ".join("?" for _ in table.c)
    return f"INSERT INTO {table.name} ({', '.join(table.c.keys())}) VALUES ({places})"  # noqa: S608 (names of ours)


def _send(connection: Connection, statement: str, columns: Sequence[Column[Any]], rows: Sequence[Row]) -> None:
    """One statement with many rows of parameters, which are sent together: pyodbc's fast executemany. Each row has a
    value for each parameter of `statement`, whose types are those of `columns`.

    pyodbc asks the server for the types although we pass them, so the server must be able to derive them: column
    names stand in the statement without the table's name."""
    instants = [place for place, column in enumerate(columns) if isinstance(column.type, Instant)]
    values = [_plain(row, instants) for row in rows]
    if values:
        connection.exec_driver_sql(statement, values, execution_options={_SIZES: sizes_of(columns)})


def _plain(row: Row, instants: Sequence[int]) -> Row:
    values = list(row)
    for place in instants:
        values[place] = as_parameter(values[place])
    return tuple(values)


# The types of parameters. For a missing value pyodbc asks the server for the type, in the middle of the transaction. A
# server that speaks SQL Server's protocol was seen not to know it, and to roll the transaction back silently.


def prepare_cursor(_: Connection, cursor: Any, _statement: str, _values: object, context: Any, _many: bool) -> None:
    """Called before every statement."""
    if sizes := context.execution_options.get(_SIZES):
        cursor.fast_executemany = True
        cursor.setinputsizes(sizes)


def set_parameter_types(sizes: dict[BindParameter[Any], Any], *_: object) -> None:
    """Called before every statement with SQLAlchemy's own sizes, which are of no use for numbers."""
    for parameter in sizes:
        if size := _sizes().get(type(parameter.type)):
            sizes[parameter] = size


def mark_nulls(_: object, _cursor: object, statement: str, values: Any, context: Any, _many: bool) -> tuple[str, Any]:
    """Called before every statement is sent: pyodbc has a mark for missing values whose type it need not ask for."""
    if context.compiled is None:
        return statement, values
    return statement, list(map(_marked, values)) if isinstance(values, list) else _marked(values)


def _marked(values: tuple[Any, ...]) -> tuple[Any, ...]:
    mark = driver.load().BinaryNull
    return tuple(mark if value is None else value for value in values)


def sizes_of(columns: Iterable[Column[Any]]) -> list[Size]:
    return [_sizes()[type(column.type)] for column in columns]


@cache
def _sizes() -> dict[type[TypeEngine[Any]], Size]:
    pyodbc = driver.load()
    return {
        Id: (pyodbc.SQL_CHAR, 36, 0),
        OrdinalText: (pyodbc.SQL_WVARCHAR, 400, 0),
        UnicodeText: (pyodbc.SQL_WVARCHAR, 0, 0),
        Instant: (pyodbc.SQL_VARCHAR, LENGTH, 0),
        Boolean: (pyodbc.SQL_BIT, 0, 0),
        SmallInteger: (pyodbc.SQL_SMALLINT, 0, 0),
        Integer: (pyodbc.SQL_INTEGER, 0, 0),
        BigInteger: (pyodbc.SQL_BIGINT, 0, 0),
    }
