"""`SELECT … FOR UPDATE` in SQL Server, which has none: SQLAlchemy leaves it out. Its lock hints would do, but a server
that speaks its protocol may ignore them. An update that changes nothing takes the lock everywhere; the rows are
read after it, and so are as those left them who had the lock before.
"""

from typing import Any, cast

from sqlalchemy import Connection, Executable, Select, Table, update

HINT = "WITH (ROWLOCK)"


def lock_first(connection: Connection, statement: Executable, _: object, values: Any, __: object) -> None:
    """Called before every statement."""
    if not isinstance(statement, Select) or statement._for_update_arg is None:  # noqa: SLF001 (it has no public name)
        return
    table = cast("Table", statement.get_final_froms()[0])
    column = next(column for column in table.c if not column.primary_key)
    touch = update(table).values({column.name: column}).with_hint(HINT, dialect_name="mssql")
    if statement.whereclause is not None:
        touch = touch.where(statement.whereclause)
    connection.execute(touch, values)
