"""The read database in a SQLite file keeps the contracts."""

from pathlib import Path

import pytest

from adapters.sql.address import Address
from adapters.sql.database import SqlDatabase
from adapters.sqlite.engine import sqlite_backend
from adapters.sqlite.read_db_file import SETTING, prepare
from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb
from contracts.sql_read_db import NewSqlDatabase, SqlReadDbContract, read_db_opener


@pytest.fixture
def new_sql_database(tmp_path: Path) -> NewSqlDatabase:
    path = tmp_path / "read-db.sqlite"
    address = Address(setting=SETTING, place=str(path))
    return lambda: SqlDatabase(
        address=address, threads=4, check=lambda: prepare(path), connect=lambda: sqlite_backend(path, 4)
    )


@pytest.fixture
def open_read_db(new_sql_database: NewSqlDatabase) -> OpenReadDb:
    return read_db_opener(new_sql_database)


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestPostViews(PostViewsContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


class TestSqlReadDb(SqlReadDbContract):
    pass
