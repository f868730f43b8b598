"""Column types that mean the same in every engine: ids in the order of their text, texts by code point, instants; and
the comparison of two columns with two values."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import CHAR, Boolean, DateTime, Dialect, String, Text, Unicode
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_BY_CODE_POINT = "Latin1_General_BIN2"
"""The collation of SQL Server that every version has; it applies to all Unicode."""


class Id(TypeDecorator[str]):
    """A UUID as lower-case text with hyphens. PostgreSQL holds it as its own `uuid`, which has the same order."""

    impl = String(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import UUID

            return UUID(as_uuid=False)
        return CHAR(36, collation=_BY_CODE_POINT) if dialect.name == "mssql" else String(36)


class OrdinalText(TypeDecorator[str]):
    """Short text that is equal and ordered by code point, whatever the database's collation. SQL Server ignores
    blanks at its end, and holds at most 400 UTF-16 units."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        match dialect.name:
            case "postgresql":
                return Text(collation="C")
            case "mssql":
                return Unicode(400, collation=_BY_CODE_POINT)
            case _:
                return Text()


class Instant(TypeDecorator[datetime]):
    """An aware time in UTC, of whole milliseconds. In SQLite it is text, `2026-11-23T15:46:58.123Z`: readable,
    understood by SQLite's date functions, and in the order of time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import TIMESTAMP

            return TIMESTAMP(timezone=True, precision=3)
        if dialect.name == "mssql":
            from adapters.sql.datetime2 import UtcDatetime2

            return UtcDatetime2()
        return _TextInstant()


class _TextInstant(Text):
    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:  # noqa: ARG002 - SQLAlchemy's signature
        return instant_to_text

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        return instant_from_text


def instant_to_text(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def instant_from_text(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class is_below(FunctionElement[bool]):  # noqa: N801 (it reads as a function of SQL)
    """`is_below(a, b, x, y)` is `(a, b) < (x, y)`. SQL Server compares no rows, only values."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: object = None) -> Self:  # noqa: ARG002 (SQLAlchemy's signature)
        """It is a condition already; SQLAlchemy would compare a function's result with 1."""
        return self


@compiles(is_below)
def _by_row(element: is_below, compiler: SQLCompiler, **options: Any) -> str:
    a, b, x, y = (compiler.process(each, **options) for each in element.clauses)
    return f"(({a}, {b}) < ({x}, {y}))"


@compiles(is_below, "mssql")
def _by_value(element: is_below, compiler: SQLCompiler, **options: Any) -> str:
    """The second condition implies the first, which an index can use."""
    a, b, x, y = (compiler.process(each, **options) for each in element.clauses)
    return f"({a} <= {x} AND ({a} < {x} OR {b} < {y}))"
