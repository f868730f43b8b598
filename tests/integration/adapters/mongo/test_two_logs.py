"""A backup restored into a database that is not empty is detected by the ids of the logs, and by nothing else."""

from collections.abc import Iterator

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
from adapters.mongo.provisioning import MongoProvisioning
from application.errors import LogDamaged
from application.projections.log_checks import LogGaps, PositionsProbe
from command_process import ANYBODY
from contracts.damaged_streams import CREATED
from contracts.log_handle import LogHandle, proposed
from domain.commands import CreatePost
from domain.ids import PostId
from given import NOON, POST
from integration.adapters.mongo.dumps import drop_database, mongodump, mongorestore
from local.databases import MongoDatabase as Place
from local.databases import fresh_mongo_database as new_mongo_database
from small_system import SmallSystem


@pytest.fixture
def another(mongo_url: str) -> Iterator[Place]:
    with new_mongo_database(mongo_url) as place:
        yield place


async def fill(place: Place, first: int, count: int) -> str:
    """The log's id."""
    posts = [PostId(f"0198c0de-0000-7000-9000-{number:012x}") for number in range(first, first + count)]
    async with MongoDatabase(place.url, place.name) as database:
        await MongoProvisioning(database).provision()
        await MongoEventStore(database).append([proposed(post, 1, *CREATED) for post in posts])
        return await MongoCommitLog(database).log_id()


async def test_a_backup_of_another_log_among_the_documents_of_this_one_is_noticed_and_the_remedy_works(
    fresh_mongo_database: Place, another: Place
) -> None:
    """Positions are dense, and no post is damaged: the other log's first commits found their positions taken."""
    this_id, other_id = await fill(fresh_mongo_database, 0, 5), await fill(another, 100, 8)
    dump = mongodump(another)
    assert mongorestore(fresh_mongo_database, dump) > 5
    async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
        log = MongoCommitLog(database)
        assert [commit.position for commit in await log.read(0)] == list(range(1, 9))
        with pytest.raises(LogDamaged) as noticed:
            await log.log_id()
        assert f"holds documents of two logs, {this_id} and {other_id}: a backup of one was" in noticed.value.message
        assert "drop the database, restore the right backup into the empty one" in noticed.value.message
        probe = await PositionsProbe(LogGaps(log)).probe()
        assert (probe.ok, probe.detail) == (False, noticed.value.message)
        system = SmallSystem(on=LogHandle(MongoEventStore(database), log, MongoPastEvents(database)))
        create = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
        with pytest.raises(LogDamaged, match="documents of two logs"):
            await system.process.commands.handle(create, ANYBODY)

    drop_database(fresh_mongo_database)
    assert mongorestore(fresh_mongo_database, dump) == 0
    async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
        assert await MongoProvisioning(database).provision() == []
        log = MongoCommitLog(database)
        assert await log.log_id() == other_id
        assert (await PositionsProbe(LogGaps(log)).probe()).ok
        system = SmallSystem(on=LogHandle(MongoEventStore(database), log, MongoPastEvents(database)))
        assert (await system.process.commands.handle(create, ANYBODY)).position == 9


async def test_a_log_from_before_log_ids_were_keys_gets_that_document(database: MongoDatabase) -> None:
    log = MongoCommitLog(database)
    log_id = await log.log_id()
    await database.relay.delete_one({"_id": f"log {log_id}"})
    assert await log.log_id() == log_id
    assert await database.relay.count_documents({"_id": f"log {log_id}"}) == 1
