"""The read database in a SQLite file keeps the contracts."""

from pathlib import Path

import pytest

from adapters.sqlite.read_db import sqlite_read_db
from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb
from contracts.sql_read_db import NewSqlReadDb, SqlReadDbContract, read_db_opener


@pytest.fixture
def new_sql_database(tmp_path: Path) -> NewSqlReadDb:
    return lambda: sqlite_read_db(tmp_path / "read-db.sqlite", make_tables=False)


@pytest.fixture
def open_read_db(new_sql_database: NewSqlReadDb) -> OpenReadDb:
    return read_db_opener(new_sql_database)


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestPostViews(PostViewsContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


class TestSqlReadDb(SqlReadDbContract):
    pass
