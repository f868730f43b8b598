"""Read databases in SQL Server. To make one takes seconds, so the tests share one, which is made as new for each."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, make_url, text

from adapters.sql.open_database import OpenDatabase
from adapters.sql.provisioning import SqlProvisioning
from adapters.sql.schema import _insert_first_rows
from adapters.sql.tables import metadata
from adapters.sqlserver import driver
from adapters.sqlserver.read_db import sqlserver_read_db
from contracts.read_db_handle import OpenReadDb, ReadDbHandle
from contracts.sql_read_db import NewSqlDatabase, read_db_opener
from local.databases import fresh_sqlserver_database


@pytest.fixture(scope="session")
def _shared_url(sqlserver_url: str) -> Iterator[str]:
    with fresh_sqlserver_database(sqlserver_url) as url:
        yield url


@pytest.fixture(scope="session")
async def _provisioned_url(_shared_url: str) -> str:
    async with sqlserver_read_db(_shared_url, pool_size=1) as database:
        await SqlProvisioning(database).provision()
    return _shared_url


@pytest.fixture
async def new_read_db_url(_provisioned_url: str) -> str:
    """SQLAlchemy's URL of a read database as `postlog init` makes it."""
    async with sqlserver_read_db(_provisioned_url, pool_size=1) as database:
        await database.run(_make_as_new)
    return _provisioned_url


@pytest.fixture
def open_read_db(new_read_db_url: str) -> OpenReadDb:
    return read_db_opener(lambda: sqlserver_read_db(new_read_db_url, pool_size=4))


@pytest.fixture
async def read_db(open_read_db: OpenReadDb) -> AsyncIterator[ReadDbHandle]:
    async with open_read_db() as handle:
        yield handle


@pytest.fixture
def new_sql_database(fresh_sqlserver_url: str) -> NewSqlDatabase:
    return lambda: sqlserver_read_db(fresh_sqlserver_url, pool_size=4)


@pytest.fixture
def connect(new_read_db_url: str) -> Callable[[], AbstractContextManager[Any]]:
    """Somebody else, on the same database, in a transaction."""

    @contextmanager
    def connected() -> Iterator[Any]:
        url = make_url(new_read_db_url)
        [[words], options] = url.get_dialect()().create_connect_args(url)
        connection = driver.load().connect(words, **options)
        try:
            yield connection
        finally:
            connection.close()

    return connected


def _make_as_new(opened: OpenDatabase) -> None:
    with opened._backend.writing() as connection:
        for table in metadata.tables.values():
            connection.execute(delete(table))
        connection.execute(text("DROP TABLE alembic_version"))
        _insert_first_rows(connection)
