from collections.abc import AsyncIterator

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from application.errors import SchemaOutdated
from application.ports.event_store import Appended, VersionTaken
from contracts.log_handle import POST_A, proposed
from local.databases import MongoDatabase as Place


@pytest.fixture
async def empty(fresh_mongo_database: Place) -> AsyncIterator[MongoDatabase]:
    async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
        yield database


async def test_the_first_run_creates_and_reports_everything(empty: MongoDatabase) -> None:
    made = await MongoProvisioning(empty).provision()
    assert made == [
        "Made MongoDB's collection 'commits' refuse documents that are not commits.",
        "Created the unique index 'stream_version' on commits(streamId, version) in MongoDB.",
        "Created the unique index 'commit_id' on commits(commitId) in MongoDB.",
        "Created the index 'receipts_expire' on receipts(keptAt) in MongoDB.",
        "Created the index 'notes_expire' on writers(until) in MongoDB.",
        f"Gave the log in MongoDB its id, {await MongoCommitLog(empty).log_id()}.",
    ]
    await MongoProvisioning(empty).check()


async def test_the_second_run_creates_nothing_and_the_log_keeps_its_id_and_commits(empty: MongoDatabase) -> None:
    await MongoProvisioning(empty).provision()
    log_id = await MongoCommitLog(empty).log_id()
    await MongoEventStore(empty).append([proposed(POST_A)])
    assert await MongoProvisioning(empty).provision() == []
    assert await MongoCommitLog(empty).log_id() == log_id
    assert await MongoCommitLog(empty).tip() == 1


async def test_nothing_is_appended_without_the_unique_keys(empty: MongoDatabase) -> None:
    await MongoProvisioning(empty).provision()
    await empty.commits.drop_index("stream_version")
    sentence = f"MongoDB's database '{empty.name}' has no index commits(streamId, version); run `postlog init`."
    with pytest.raises(SchemaOutdated) as refused:
        await MongoEventStore(empty).append([proposed(POST_A)])
    assert refused.value.message == sentence
    assert await MongoCommitLog(empty).tip() == 0
    with pytest.raises(SchemaOutdated, match="run `postlog init`"):
        await MongoProvisioning(empty).check()
    assert (await MongoProbe(empty).probe()).detail == sentence


async def test_an_index_that_is_not_unique_does_not_count(empty: MongoDatabase) -> None:
    await empty.commits.create_index("commitId")
    with pytest.raises(SchemaOutdated, match=r"commits\(streamId, version\), commits\(commitId\)"):
        await MongoProvisioning(empty).check()


async def test_a_store_that_found_the_keys_missing_works_once_they_are_created(empty: MongoDatabase) -> None:
    store = MongoEventStore(empty)
    with pytest.raises(SchemaOutdated):
        await store.append([proposed(POST_A)])
    await MongoProvisioning(empty).provision()
    assert await store.append([proposed(POST_A)]) == [Appended(1)]
    assert await store.append([proposed(POST_A, name="late")]) == [VersionTaken()]


async def test_the_probe_names_the_primary(empty: MongoDatabase) -> None:
    await MongoProvisioning(empty).provision()
    probed = await MongoProbe(empty).probe()
    assert (probed.name, probed.ok) == ("event_store", True)
    assert probed.detail.endswith(" takes the writes.")
