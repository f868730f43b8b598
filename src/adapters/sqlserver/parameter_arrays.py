"""One statement with many rows of parameters, which go to SQL Server together (pyodbc calls it fast executemany).

The types of the parameters are told. Where they are not, pyodbc asks the server; and where that can't tell, it takes
them for texts of 255 bytes, and what is no ASCII in a name is lost.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, SmallInteger, UnicodeText

from adapters.sql.backend import Row
from adapters.sql.datetime2 import utc_without_zone
from adapters.sql.types import Id, Instant, OrdinalText
from adapters.sqlserver import driver

_SIZES = "postlog_input_sizes"


def send(connection: Connection, statement: str, columns: tuple[Column[Any], ...], rows: Iterable[Row]) -> None:
    """Each row has a value for each parameter of `statement`, whose types are those of `columns`."""
    instants = [place for place, column in enumerate(columns) if isinstance(column.type, Instant)]
    values = [_plain(row, instants) for row in rows]
    if values:
        connection.exec_driver_sql(statement, values, execution_options={_SIZES: _input_sizes(columns)})


def tell_input_sizes(_: Connection, cursor: Any, _statement: str, _values: object, context: Any, _many: bool) -> None:
    """Called before every statement is sent."""
    if sizes := context.execution_options.get(_SIZES):
        cursor.setinputsizes(sizes)


def _plain(row: Row, instants: Sequence[int]) -> Row:
    values = list(row)
    for place in instants:
        values[place] = utc_without_zone(values[place])
    return tuple(values)


@cache
def _input_sizes(columns: tuple[Column[Any], ...]) -> tuple[tuple[int, int, int], ...]:
    """For each column ODBC's type, the length, 0 for texts of any, and the digits behind the point."""
    pyodbc = driver.load()
    sizes = {
        Id: (pyodbc.SQL_CHAR, 36, 0),
        OrdinalText: (pyodbc.SQL_WVARCHAR, 400, 0),
        UnicodeText: (pyodbc.SQL_WVARCHAR, 0, 0),
        Instant: (pyodbc.SQL_TYPE_TIMESTAMP, 23, 3),
        Boolean: (pyodbc.SQL_BIT, 0, 0),
        SmallInteger: (pyodbc.SQL_SMALLINT, 0, 0),
        Integer: (pyodbc.SQL_INTEGER, 0, 0),
        BigInteger: (pyodbc.SQL_BIGINT, 0, 0),
    }
    return tuple(sizes[type(column.type)] for column in columns)
