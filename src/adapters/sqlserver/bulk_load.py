"""Many rows into SQL Server."""

from collections.abc import Iterable
from functools import cache
from itertools import islice

from sqlalchemy import Connection, Table

from adapters.sql.backend import Row
from adapters.sqlserver.parameter_arrays import send

_ROWS_AT_ONCE = 5_000


def load(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    """New rows, any number of them."""
    coming = iter(rows)
    while part := list(islice(coming, _ROWS_AT_ONCE)):
        send(connection, _insert(table), tuple(table.c), part)


@cache
def _insert(table: Table) -> str:
    places = ", ".join("?" for _ in table.c)
    return f"INSERT INTO {table.name} ({', '.join(table.c.keys())}) VALUES ({places})"  # noqa: S608 (names of ours)
