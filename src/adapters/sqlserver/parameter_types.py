"""The types of a statement's parameters, all of which are told to the driver.

For a value that is missing pyodbc asks the server what type it should have, in the middle of the transaction. A server
that speaks SQL Server's protocol was seen not to know it, and to roll the transaction back and say nothing.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Boolean, Column, Integer, SmallInteger, UnicodeText
from sqlalchemy.types import TypeEngine

from adapters.sql.datetime2 import LENGTH
from adapters.sql.types import Id, Instant, OrdinalText
from adapters.sqlserver import driver

Size = tuple[int, int, int]
"""ODBC's type, the length in characters (0: any), the digits behind the point."""


def sizes_of(columns: Iterable[Column[Any]]) -> list[Size]:
    return [_sizes()[type(column.type)] for column in columns]


def tell_types(sizes: dict[BindParameter[Any], Any], *_: object) -> None:
    """Called before each statement with what SQLAlchemy would tell, which is nothing of use for numbers."""
    for parameter in sizes:
        if told := _sizes().get(type(parameter.type)):
            sizes[parameter] = told


def mark_missing(_: object, _cursor: object, statement: str, values: Any, context: Any, _many: bool) -> tuple[str, Any]:
    """Called before each statement is sent: pyodbc has a mark for missing values whose type it need not ask for."""
    if context.compiled is None:
        return statement, values
    return statement, list(map(_marked, values)) if isinstance(values, list) else _marked(values)


def _marked(values: tuple[Any, ...]) -> tuple[Any, ...]:
    mark = driver.load().BinaryNull
    return tuple(mark if value is None else value for value in values)


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
