"""The adapters keep their contracts with the service's own login, not only as an administrator."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
from adapters.mongo.relay_state import MongoRelayState
from adapters.mongo.snapshots import MongoSnapshots
from adapters.postgres.read_db import postgres_read_db
from adapters.sql.read_db import SqlReadDb
from adapters.sql.tables import metadata
from application.ports.post_views import PostFilter, PostWithComments
from application.ports.read_db import RowChanges
from contracts.commit_log import CommitLogContract
from contracts.event_store import EventStoreContract
from contracts.log_handle import LogHandle, OpenLog
from contracts.maintained import maintained_in_sql
from contracts.parked_streams import ParkedStreamsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb, comment, post, post_id
from contracts.rebuilding import OpenMaintained, RebuildingContract
from contracts.relay_state import RelayStateContract
from contracts.snapshots import SnapshotsContract
from contracts.sql_read_db import read_db_opener
from integration.logins.places import MongoPlace, PostgresPlace, mongo_place, postgres_place


@pytest.fixture(scope="module")
async def shared(postgres_url: str) -> AsyncIterator[PostgresPlace]:
    with postgres_place(postgres_url) as place, place.another_login():
        await place.init()
        place.tell("CREATE SCHEMA kept", place.database)
        for table in metadata.tables:
            place.tell(f"CREATE TABLE kept.{table} AS SELECT * FROM {table}", place.database)
        yield place


@pytest.fixture
def new_sql_database(shared: PostgresPlace) -> Callable[[], SqlReadDb]:
    """One place for all, since making one takes long: brought back to what it was when it was made."""
    with shared.as_admin(shared.database) as admin, admin.transaction():
        admin.execute(f"TRUNCATE {', '.join(metadata.tables)}")
        for table in metadata.tables:
            admin.execute(f"INSERT INTO {table} SELECT * FROM kept.{table}")
    return lambda: postgres_read_db(shared.service_url, pool_size=4)


@pytest.fixture
def open_read_db(new_sql_database: Callable[[], SqlReadDb]) -> OpenReadDb:
    return read_db_opener(new_sql_database)


@pytest.fixture
def open_maintained(new_sql_database: Callable[[], SqlReadDb]) -> OpenMaintained:
    return maintained_in_sql(new_sql_database)


@pytest.fixture(scope="module")
async def shared_log(mongo_with_logins_url: str) -> AsyncIterator[MongoPlace]:
    with mongo_place(mongo_with_logins_url) as place:
        await place.init()
        yield place


@pytest.fixture
def log_place(shared_log: MongoPlace) -> MongoPlace:
    """As empty as when it was made, indexes and login apart."""
    with shared_log.as_admin() as admin:
        for collection in ("commits", "receipts", "snapshots", "relay", "writers"):
            admin[shared_log.database][collection].delete_many({})
    return shared_log


@pytest.fixture
async def database(log_place: MongoPlace) -> AsyncIterator[MongoDatabase]:
    async with MongoDatabase(log_place.service_url, log_place.database) as database:
        yield database


@pytest.fixture
def open_log(log_place: MongoPlace) -> OpenLog:
    @asynccontextmanager
    async def open_log() -> AsyncIterator[LogHandle]:
        async with MongoDatabase(log_place.service_url, log_place.database) as database:
            yield LogHandle(MongoEventStore(database), MongoCommitLog(database), MongoPastEvents(database))

    return open_log


@pytest.mark.long
class TestEventStore(EventStoreContract):
    pass


@pytest.mark.long
class TestCommitLog(CommitLogContract):
    pass


@pytest.mark.long
class TestRelayState(RelayStateContract):
    @pytest.fixture
    def relay(self, database: MongoDatabase) -> MongoRelayState:
        return MongoRelayState(database)


@pytest.mark.long
class TestSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, database: MongoDatabase) -> MongoSnapshots:
        return MongoSnapshots(database)


@pytest.mark.long
class TestProjectionStore(ProjectionStoreContract):
    pass


@pytest.mark.long
class TestRebuilding(RebuildingContract):
    pass


@pytest.mark.long
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
        await database.provisioning.check()
        assert (await database.probe.probe()).ok
