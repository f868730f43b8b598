"""The newest comments of each of many posts. SQL Server has no LATERAL and calls it CROSS APPLY."""

from typing import Any

from sqlalchemy import FromClause, Join, Select, Table, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class _CrossApply(Join):
    inherit_cache = True


@compiles(_CrossApply)
def _compiled(join: _CrossApply, compiler: SQLCompiler, **options: Any) -> str:
    left, right = (compiler.process(side, **{**options, "asfrom": True}) for side in (join.left, join.right))
    return f"{left} CROSS APPLY {right.removeprefix('LATERAL ')}"


def newest_per_post(wanted: FromClause, comments: Table, at_most: int) -> Select[*tuple[Any, ...]]:
    newest = (
        select(comments)
        .where(comments.c.post_id == wanted.c.post_id)
        .order_by(comments.c.comment_date.desc(), comments.c.comment_id.desc())
        .limit(at_most)
        .lateral("newest_of_post")
    )
    return select(newest).select_from(_CrossApply(wanted, newest, true()))
