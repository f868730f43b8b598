"""Times in SQL Server: UTC, without a zone, of whole milliseconds."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects.mssql import DATETIME2
from sqlalchemy.engine.interfaces import DBAPIModule
from sqlalchemy.types import TypeDecorator


class UtcDatetime2(TypeDecorator[datetime]):
    impl = DATETIME2(precision=3)  # type: ignore[no-untyped-call]
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return utc_without_zone(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)

    def get_dbapi_type(self, dbapi: DBAPIModule) -> Any:
        """The column's own type: compared with a finer one, the column would be converted, row by row."""
        return dbapi.SQL_TYPE_TIMESTAMP, 23, 3


def utc_without_zone(value: datetime | None) -> datetime | None:
    """The driver refuses what is finer than the column."""
    if value is None:
        return None
    return value.astimezone(UTC).replace(tzinfo=None, microsecond=value.microsecond // 1_000 * 1_000)
