"""Rows and keys as one parameter: JSON, an array a row, which SQL Server reads as a table. It has no limit on their
number, and the statement stays the same whatever their number."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Dialect, FromClause, UnicodeText, bindparam, text
from sqlalchemy.dialects import mssql

_DIALECT: Dialect = mssql.dialect()  # type: ignore[no-untyped-call]


def json_rows(columns: Sequence[Column[Any]], name: str) -> FromClause:
    """A source of rows, named as its parameter, with these columns.

    Texts from JSON have the database's collation; compared with a column of another they would be an error."""
    taken, read = [], []
    for place, column in enumerate(columns):
        type_, collate, collation = column.type.compile(_DIALECT).partition(" COLLATE ")
        taken.append(f"[{column.name}]{collate}{collation} AS [{column.name}]")
        read.append(f"[{column.name}] {type_} '$[{place}]'")
    source = f"SELECT {', '.join(taken)} FROM OPENJSON(:{name}) WITH ({', '.join(read)})"  # noqa: S608 (names of ours)
    typed = (Column(column.name, column.type) for column in columns)
    return text(source).bindparams(bindparam(name, type_=UnicodeText())).columns(*typed).subquery(name)


def as_json(rows: Iterable[Sequence[Any]]) -> str:
    """Times are UTC and of whole milliseconds."""
    return msgspec.json.encode(list(rows)).decode()
