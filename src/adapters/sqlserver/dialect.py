"""SQL that SQL Server has in a form of its own: many keys in one parameter, the newest rows of each group, and
locks."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Executable,
    FromClause,
    Join,
    Select,
    Table,
    UnicodeText,
    bindparam,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import mssql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from adapters.sql.backend import Key

_DIALECT: Dialect = mssql.dialect()  # type: ignore[no-untyped-call]
_LOCK_HINT = "WITH (ROWLOCK)"


def key_set(columns: Sequence[Column[Any]]) -> FromClause:
    """The keys are one parameter, a JSON array of an array for each key, which SQL Server reads as a table: there is no
    limit on their number, and the statement stays the same whatever their number.

    Only ids and numbers go this way: a server that speaks SQL Server's protocol may return texts with JSON's escapes in
    them. Texts from JSON have the database's collation; to compare them with a column of another one is an error.
    """
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


def newest_per_post(wanted: FromClause, comments: Table, at_most: int) -> Select[*tuple[Any, ...]]:
    newest = (
        select(comments)
        .where(comments.c.post_id == wanted.c.post_id)
        .order_by(comments.c.comment_date.desc(), comments.c.comment_id.desc())
        .limit(at_most)
        .lateral("newest_of_post")
    )
    return select(newest).select_from(_CrossApply(wanted, newest, true()))


class _CrossApply(Join):
    """SQL Server's name for a join with LATERAL."""

    inherit_cache = True


@compiles(_CrossApply)
def _compiled(join: _CrossApply, compiler: SQLCompiler, **options: Any) -> str:
    left, right = (compiler.process(side, **{**options, "asfrom": True}) for side in (join.left, join.right))
    return f"{left} CROSS APPLY {right.removeprefix('LATERAL ')}"


def lock_first(connection: Connection, statement: Executable, _: object, values: Any, __: object) -> None:
    """Called before every statement, for `SELECT … FOR UPDATE`: SQLAlchemy leaves FOR UPDATE out for SQL Server, which
    does not have it. Its lock hints would do, but a server that speaks its protocol may ignore them. An update that
    changes nothing takes the lock everywhere; the rows are read after it, so the changes of the previous holder are
    seen."""
    if not isinstance(statement, Select) or statement._for_update_arg is None:  # noqa: SLF001 (it has no public name)
        return
    table = cast("Table", statement.get_final_froms()[0])
    column = next(column for column in table.c if not column.primary_key)
    touch = update(table).values({column.name: column}).with_hint(_LOCK_HINT, dialect_name="mssql")
    if statement.whereclause is not None:
        touch = touch.where(statement.whereclause)
    connection.execute(touch, values)
