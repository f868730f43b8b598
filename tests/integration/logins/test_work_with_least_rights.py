"""The adapters keep their contracts with the service's own login, not only as an administrator."""

from collections.abc import AsyncIterator

import pytest

from adapters.postgres.read_db import postgres_read_db
from adapters.sql.probe import SqlProbe
from adapters.sql.provisioning import SqlProvisioning
from adapters.sql.tables import metadata
from application.ports.post_views import PostFilter, PostWithComments
from application.ports.projection_store import RowChanges
from contracts.parked_streams import ParkedStreamsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb, comment, post, post_id
from contracts.sql_read_db import read_db_opener
from integration.logins.places import PostgresPlace, postgres_place


@pytest.fixture(scope="module")
async def shared(postgres_url: str) -> AsyncIterator[PostgresPlace]:
    with postgres_place(postgres_url) as place, place.another_login():
        await place.init()
        place.tell("CREATE SCHEMA kept", place.database)
        for table in metadata.tables:
            place.tell(f"CREATE TABLE kept.{table} AS SELECT * FROM {table}", place.database)
        yield place


@pytest.fixture
def open_read_db(shared: PostgresPlace) -> OpenReadDb:
    """One database for all, since making one takes long: brought back to what it was when it was made."""
    with shared.as_admin(shared.database) as admin, admin.transaction():
        admin.execute(f"TRUNCATE {', '.join(metadata.tables)}")
        for table in metadata.tables:
            admin.execute(f"INSERT INTO {table} SELECT * FROM kept.{table}")
    return read_db_opener(lambda: postgres_read_db(shared.service_url, pool_size=4))


class TestProjectionStore(ProjectionStoreContract):
    pass


class TestParkedStreams(ParkedStreamsContract):
    pass


async def test_what_was_projected_is_answered_and_the_database_found_ready(
    shared: PostgresPlace, open_read_db: OpenReadDb
) -> None:
    async with open_read_db() as read_db:
        await read_db.write(RowChanges(posts=[post(1, likes=3)], comments=[comment(1, 2)]))
        answer = await read_db.views.post(post_id(1))
        assert answer.value == PostWithComments(post(1, likes=3), [comment(1, 2)])
        assert (await read_db.views.posts(PostFilter(), 10, None)).value == [post(1, likes=3)]
    async with postgres_read_db(shared.service_url, pool_size=1) as database:
        await SqlProvisioning(database).check()
        assert (await SqlProbe(database).probe()).ok
