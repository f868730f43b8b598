"""Keys as one parameter: JSON, an array a key, which SQL Server reads as a table. There is no limit on their number,
and the statement stays the same whatever their number.

Only ids and numbers go this way: a server that speaks SQL Server's protocol may hand out texts as they stand in JSON,
with its escapes.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Dialect, FromClause, UnicodeText, bindparam, text
from sqlalchemy.dialects import mssql

from adapters.sql.backend import Key

_DIALECT: Dialect = mssql.dialect()  # type: ignore[no-untyped-call]


def key_set(columns: Sequence[Column[Any]]) -> FromClause:
    """Texts from JSON have the database's collation; compared with a column of another they would be an error."""
    taken, read = [], []
    for place, column in enumerate(columns):
        type_, collate, collation = column.type.compile(_DIALECT).partition(" COLLATE ")
        taken.append(f"[{column.name}]{collate}{collation} AS [{column.name}]")
        read.append(f"[{column.name}] {type_} '$[{place}]'")
    keys = f"SELECT {', '.join(taken)} FROM OPENJSON(:wanted) WITH ({', '.join(read)})"  # noqa: S608 (names of ours)
    typed = (Column(column.name, column.type) for column in columns)
    return text(keys).bindparams(bindparam("wanted", type_=UnicodeText())).columns(*typed).subquery("wanted")


def key_values(keys: Sequence[Key]) -> dict[str, str]:
    return {"wanted": msgspec.json.encode(keys).decode()}
