"""The read database in PostgreSQL keeps the contracts."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from adapters.postgres import engine
from adapters.postgres.read_db import postgres_read_db
from contracts.parked_streams import ParkedStreamsContract
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb
from contracts.sql_read_db import NewSqlReadDb, SqlReadDbContract, read_db_opener
from local.databases import fresh_postgres_database


@pytest.fixture(scope="module")
def own_url(postgres_url: str) -> Iterator[str]:
    """To create a database takes long; these tests share one, and each creates its tables again."""
    with fresh_postgres_database(postgres_url) as url:
        yield url


@pytest.fixture
def new_sql_database(own_url: str) -> NewSqlReadDb:
    address = make_url(own_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return lambda: postgres_read_db(own_url, pool_size=4)


@pytest.fixture
def open_read_db(new_sql_database: NewSqlReadDb) -> OpenReadDb:
    return read_db_opener(new_sql_database)


async def test_a_copy_of_a_database_has_another_id_and_another_address_the_same(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a session with another time zone, which a pooler may hand out."""
    with fresh_postgres_database(postgres_url) as url:
        async with read_db_opener(lambda: postgres_read_db(url, pool_size=2))() as read_db:
            known_by = await read_db.store.database_id()
        name = make_url(url).database
        copy = make_url(url).set(database=f"{name}_copy")
        same = make_url(url).update_query_pairs([("application_name", "another")])
        address = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {copy.database} TEMPLATE {name}")
            try:
                monkeypatch.setattr(engine, "_SESSION", "SET TIME ZONE 'Asia/Kathmandu'")
                found = [await database_id_at(other.render_as_string(hide_password=False)) for other in (copy, same)]
            finally:
                server.execute(f"DROP DATABASE {copy.database} WITH (FORCE)")
    assert (found[0] != known_by, found[1]) == (True, known_by)


async def database_id_at(url: str) -> str:
    async with postgres_read_db(url, pool_size=1) as database:
        return await database.projection_store.database_id()


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestPostViews(PostViewsContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


class TestSqlReadDb(SqlReadDbContract):
    pass
