"""Times in SQL Server: UTC, without a zone, of whole milliseconds. A module of its own, since it imports SQLAlchemy's
dialect for SQL Server."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Dialect, cast
from sqlalchemy.dialects.mssql import DATETIME2
from sqlalchemy.types import TypeDecorator

_COLUMN = DATETIME2(precision=3)  # type: ignore[no-untyped-call]
LENGTH = len("2026-11-23T15:46:58.123")
"""Of a parameter, in characters."""


class UtcDatetime2(TypeDecorator[datetime]):
    """A parameter is text, which the statement casts to the column's type: compared with a more precise type, the
    column would be converted row by row."""

    impl = _COLUMN
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return as_parameter(value)

    def bind_expression(self, bindparam: BindParameter[datetime]) -> ColumnElement[datetime]:
        return cast(bindparam, _COLUMN)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


def as_parameter(value: datetime | None) -> str | None:
    """In the form that means the same in every language of the server. The driver sends a time without milliseconds if
    the server does not report their precision: one that speaks SQL Server's protocol did not."""
    if value is None:
        return None
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
