"""Which rows stand below a key of two columns: `(a, b) < (x, y)`. SQL Server compares no rows, only values."""

from typing import Any, Self

from sqlalchemy import Boolean
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class is_below(FunctionElement[bool]):  # noqa: N801 (it reads as a function of SQL)
    """Of a, b, x and y."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: object = None) -> Self:  # noqa: ARG002 (SQLAlchemy's signature)
        """It is a condition as it stands, also where SQLAlchemy would compare a function's result with 1."""
        return self


@compiles(is_below)
def _by_row(element: is_below, compiler: SQLCompiler, **options: Any) -> str:
    a, b, x, y = (compiler.process(each, **options) for each in element.clauses)
    return f"(({a}, {b}) < ({x}, {y}))"


@compiles(is_below, "mssql")
def _by_value(element: is_below, compiler: SQLCompiler, **options: Any) -> str:
    """The first condition is implied, but an index can use it."""
    a, b, x, y = (compiler.process(each, **options) for each in element.clauses)
    return f"({a} <= {x} AND ({a} < {x} OR {b} < {y}))"
