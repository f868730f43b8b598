"""The read database in SQL Server keeps the contracts."""

import pytest

from adapters.sqlserver.read_db import sqlserver_read_db
from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb
from contracts.sql_read_db import NewSqlDatabase, SqlReadDbContract, read_db_opener


@pytest.fixture
def new_sql_database(fresh_sqlserver_url: str) -> NewSqlDatabase:
    return lambda: sqlserver_read_db(fresh_sqlserver_url, pool_size=4)


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
