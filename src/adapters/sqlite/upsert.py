"""Whole rows into SQLite, where some are there before."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.sqlite import insert

from adapters.sql.backend import Row
from adapters.sqlite.bulk_load import as_text, send


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    send(connection, _upsert(table), table, rows)


@cache
def _upsert(table: Table) -> str:
    new = insert(table)
    key = table.primary_key.columns.keys()
    changed = {column.name: new.excluded[column.name] for column in table.c if column.name not in key}
    return as_text(new.on_conflict_do_update(index_elements=key, set_=changed))
