"""A log that Postlog 0.1 wrote, with its validator: it is read as it is, and continued after `postlog init`."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from application.errors import SchemaOutdated
from application.ports.commit_log import Shard
from application.ports.event_store import Appended, VersionTaken
from contracts.log_handle import POST_A, liked, proposed
from domain.ids import PostId
from integration.version_before import copies
from local.databases import MongoDatabase as Place

FIXTURE = Path(__file__).parents[3] / "fixtures/before_0_2/distributed/log.ndjson"


@pytest.fixture
async def old_log(fresh_mongo_database: Place) -> AsyncIterator[MongoDatabase]:
    copies.load_log(FIXTURE, fresh_mongo_database.url, fresh_mongo_database.name)
    async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
        yield database


async def test_commits_are_refused_with_the_remedy_until_init(old_log: MongoDatabase) -> None:
    what = "accepts only commits as Postlog 0.1 wrote them; run `postlog init`"
    with pytest.raises(SchemaOutdated, match=what):
        await MongoEventStore(old_log).append([proposed(POST_A)])
    with pytest.raises(SchemaOutdated, match=what):
        await MongoProvisioning(old_log).check()
    probe = await MongoProbe(old_log).probe()
    assert not probe.ok
    assert what in probe.detail
    assert await MongoProvisioning(old_log).provision() == [
        "Made MongoDB's collection 'commits' refuse documents that are not commits."
    ]
    await MongoProvisioning(old_log).check()


async def test_streams_of_both_shapes_are_one_log(old_log: MongoDatabase) -> None:
    await MongoProvisioning(old_log).provision()
    store, log = MongoEventStore(old_log), MongoCommitLog(old_log)
    before = await log.read(0)
    ends: Counter[PostId] = Counter()
    for commit in before:
        ends[commit.stream_id] += len(commit.events)
    several = next(commit for commit in before if len(commit.events) > 1)
    old = several.stream_id

    first = ends[old] + 1
    assert await store.append([proposed(old, first - 1, liked("Ann"), name="taken")]) == [VersionTaken()]
    new = [proposed(old, first, liked("Ann"), liked("Bob")), proposed(POST_A), proposed(old, first + 2, liked("Eve"))]
    assert await store.append(new) == [Appended(len(before) + number) for number in (1, 2, 3)]

    after = await log.read(0)
    assert after[: len(before)] == before
    assert [commit.events for commit in after[len(before) :]] == [commit.events for commit in new]
    events = [(commit.position, commit.events) for commit in after]
    assert [(commit.position, commit.events) for commit in await log.read_events(0)] == events
    shard = await log.read_shard(0, len(after), Shard(0, 1))
    assert [(commit.position, commit.events) for commit in shard] == events

    stream = await store.read_stream(old)
    assert [commit for commit in after if commit.stream_id == old] == stream
    assert await store.read_stream(old, several.version) == stream[stream.index(several) :]
    tail = await store.stream_tail(old)
    assert tail is not None
    assert (tail.version, tail.position) == (first + 2, len(after))
    for commit in stream:
        assert await store.holds(old, commit.last_version, commit.position, commit.commit_id)
    assert await store.find_commit(several.commit_id) == several
