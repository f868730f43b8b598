"""The read database in SQL Server keeps the contracts."""

from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.sql_read_db import SqlReadDbContract


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestPostViews(PostViewsContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


class TestSqlReadDb(SqlReadDbContract):
    pass
