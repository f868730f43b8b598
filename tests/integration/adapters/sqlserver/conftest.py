"""Read databases in SQL Server. To create one takes seconds, so the tests share one, which is reset for each."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, make_url

from adapters.sql.backend import SqlBackend
from adapters.sql.read_db import SqlReadDb
from adapters.sql.schema import _insert_first_rows
from adapters.sql.tables import metadata
from adapters.sqlserver import driver
from adapters.sqlserver.read_db import sqlserver_read_db
from contracts.read_db_handle import OpenReadDb, ReadDbHandle
from contracts.sql_read_db import NewSqlReadDb, read_db_opener, with_backend
from integration.logins.places import SqlServerPlace, sqlserver_place


@pytest.fixture(scope="session")
async def _shared(sqlserver_url: str) -> AsyncIterator[SqlServerPlace]:
    with sqlserver_place(sqlserver_url) as place:
        await place.init()
        yield place


@pytest.fixture(scope="session")
async def _administrator(_shared: SqlServerPlace) -> AsyncIterator[SqlReadDb]:
    async with sqlserver_read_db(_shared.logins.tables_url, pool_size=1) as database:
        yield database


@pytest.fixture
async def new_read_db_url(_shared: SqlServerPlace, _administrator: SqlReadDb) -> str:
    """SQLAlchemy's URL of a read database as `postlog init` creates it, with the login that it creates for the service:
    everything here must work with the rights of that login and no others."""
    await with_backend(_administrator, _reset)
    return _shared.service_url


@pytest.fixture
def open_read_db(new_read_db_url: str) -> OpenReadDb:
    return read_db_opener(lambda: sqlserver_read_db(new_read_db_url, pool_size=4))


@pytest.fixture
async def read_db(open_read_db: OpenReadDb) -> AsyncIterator[ReadDbHandle]:
    async with open_read_db() as handle:
        yield handle


@pytest.fixture
def new_sql_database(fresh_sqlserver_url: str) -> NewSqlReadDb:
    return lambda: sqlserver_read_db(fresh_sqlserver_url, pool_size=4)


@pytest.fixture
def connect(_shared: SqlServerPlace, new_read_db_url: str) -> Callable[[], AbstractContextManager[Any]]:
    """The administrator, on the same database, in a transaction."""

    @contextmanager
    def connected() -> Iterator[Any]:
        url = make_url(_shared.logins.tables_url)
        [[words], options] = url.get_dialect()().create_connect_args(url)
        connection = driver.load().connect(words, **options)
        try:
            yield connection
        finally:
            connection.close()

    return connected


def _reset(backend: SqlBackend) -> None:
    with backend.writing() as connection:
        for table in metadata.tables.values():
            connection.execute(delete(table))
        _insert_first_rows(connection)
