"""One statement with many rows of parameters, which go to SQL Server together: pyodbc's fast executemany.

It asks the server for the types of the parameters even though it is told them, so a statement must be one of which
every server can tell them: names of columns stand in it without that of the table.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection

from adapters.sql.backend import Row
from adapters.sql.datetime2 import as_parameter
from adapters.sql.types import Instant
from adapters.sqlserver.parameter_types import sizes_of

_SIZES = "postlog_input_sizes"


def send(connection: Connection, statement: str, columns: Sequence[Column[Any]], rows: Sequence[Row]) -> None:
    """Each row has a value for each parameter of `statement`, whose types are those of `columns`."""
    instants = [place for place, column in enumerate(columns) if isinstance(column.type, Instant)]
    values = [_plain(row, instants) for row in rows]
    if values:
        connection.exec_driver_sql(statement, values, execution_options={_SIZES: sizes_of(columns)})


def prepare_cursor(_: Connection, cursor: Any, _statement: str, _values: object, context: Any, _many: bool) -> None:
    """Called before every statement."""
    if sizes := context.execution_options.get(_SIZES):
        cursor.fast_executemany = True
        cursor.setinputsizes(sizes)


def _plain(row: Row, instants: Sequence[int]) -> Row:
    values = list(row)
    for place in instants:
        values[place] = as_parameter(values[place])
    return tuple(values)
