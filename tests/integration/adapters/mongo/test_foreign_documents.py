"""Documents in `commits` that are no commits: `postlog init` has them refused, and one that is there all the same is a
sentence for whoever meets it, never the end of a process.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from bson import MinKey, ObjectId
from pymongo.errors import WriteError

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from adapters.wire.commit_bson import at_position, encode_without_position
from adapters.wire.event_codec import MsgspecEventCodec
from application.errors import LogChanged, LogDamaged, SchemaOutdated
from application.maintenance.events_check import PositionRange, RangeCheck
from application.ports.commit_log import Shard
from application.ports.event_store import Appended, Unsettled
from contracts.log_handle import POST_A, POST_B, POST_C, RECORDED_AT, Visitor, commit_id, proposed
from local.databases import MongoDatabase as Place

WHOLE: dict[str, Any] = {
    "streamId": POST_C,
    "version": 1,
    "commitId": commit_id("foreign"),
    "recordedAt": RECORDED_AT,
    "metadata": {},
    "events": [{"type": "PostLiked", "schemaVersion": 2, "data": {"username": None}}],
}

BESIDE: dict[str, dict[str, Any]] = {
    "a text": {"_id": "hello", "note": "mine"},
    "an ObjectId": {"_id": ObjectId("65a000000000000000000000")},
    "a document as its key": {"_id": {"position": 4}},
    "null": {"_id": None},
    "the smallest key": {"_id": MinKey()},
    "a whole commit under a text": {"_id": "copy of 4", **WHOLE},
    "zero": {"_id": 0, "note": "mine"},
    "negative": {"_id": -7},
}
"""With an `_id` that is not a position."""

IN_PLACE: dict[str, dict[str, Any]] = {
    "without any field": {"_id": 4},
    "without events": {"_id": 4, **{name: value for name, value in WHOLE.items() if name != "events"}},
    "with a text for its events": {"_id": 4, **WHOLE, "events": "none"},
    "with numbers for its events": {"_id": 4, **WHOLE, "events": [1, 2]},
    "with a text for its time": {"_id": 4, **WHOLE, "recordedAt": "today"},
    "with a text for its version": {"_id": 4, **WHOLE, "version": "one"},
    "with a number for its commit id": {"_id": 4, **WHOLE, "commitId": 7},
    "between two positions": {"_id": 3.5, **WHOLE},
    "at a float position": {"_id": 4.0, **WHOLE},
}
"""At the position of a commit, or between two."""

SENTENCE = r"MongoDB's collection 'commits' holds a document that is not a commit of Postlog; its _id is .*delete it\."


@pytest.fixture
async def log(fresh_mongo_database: Place) -> AsyncIterator[MongoDatabase]:
    """With three commits."""
    async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
        await MongoProvisioning(database).provision()
        await MongoEventStore(database).append([proposed(POST_A), proposed(POST_A, 2), proposed(POST_B)])
        yield database


@pytest.fixture
async def process(log: MongoDatabase) -> AsyncIterator[MongoDatabase]:
    """Another process, which has read nothing yet."""
    async with MongoDatabase(log.url, log.name) as database:
        yield database


async def place(log: MongoDatabase, document: dict[str, Any]) -> None:
    plain = log.client[log.name]["commits"]
    await plain.insert_one(dict(document), bypass_document_validation=True)


@pytest.mark.parametrize("document", [*BESIDE.values(), *IN_PLACE.values()], ids=[*BESIDE, *IN_PLACE])
async def test_it_is_refused(log: MongoDatabase, document: dict[str, Any]) -> None:
    with pytest.raises(WriteError) as refused:
        await log.commits.insert_one(dict(document))
    assert refused.value.code == 121


@pytest.mark.parametrize("document", BESIDE.values(), ids=BESIDE)
async def test_outside_the_positions_it_blocks_nothing_and_doctor_names_it(
    log: MongoDatabase, process: MongoDatabase, document: dict[str, Any]
) -> None:
    await place(log, document)
    commits, store, past = MongoCommitLog(process), MongoEventStore(process), MongoPastEvents(process)
    assert (await commits.tip(), await commits.proven_tip()) == (3, 3)
    assert [commit.position for commit in await commits.read(0)] == [1, 2, 3]
    assert [commit.position for commit in await commits.read_events(0)] == [1, 2, 3]
    assert len(await commits.read_shard(0, 3, Shard(0, 1))) == 3
    assert await past.last_version(POST_A) == 2
    assert await store.append([proposed(POST_A, 3), proposed(POST_B, 2)]) == [Appended(4), Appended(5)]
    assert [commit.position for commit in await store.read_stream(POST_A)] == [1, 2, 4]
    assert (await MongoProbe(process).probe()).ok
    with pytest.raises(LogDamaged, match=SENTENCE):
        await MongoProvisioning(process).check()


async def test_a_follower_is_woken_past_it(log: MongoDatabase, process: MongoDatabase) -> None:
    waiting = asyncio.create_task(MongoCommitLog(process).wait(after=3, timeout=20))
    for number, document in enumerate(BESIDE.values()):
        await place(log, document | {"streamId": f"stray {number}", "commitId": f"stray {number}"})
    await MongoEventStore(log).append([proposed(POST_C)])
    await waiting
    assert process.committed_tip.position == 4


READERS: dict[str, Callable[[MongoDatabase], Awaitable[Any]]] = {
    "read": lambda process: MongoCommitLog(process).read(0),
    "read_events": lambda process: MongoCommitLog(process).read_events(0),
    "read_shard": lambda process: MongoCommitLog(process).read_shard(0, 4, Shard(0, 1)),
    "visit": lambda process: MongoCommitLog(process).visit(0, 4, Visitor(takes_texts=False)),
    "check": lambda process: RangeCheck(MongoCommitLog(process), MsgspecEventCodec()).check(PositionRange(0, 4), 1),
}


@pytest.mark.parametrize("document", IN_PLACE.values(), ids=IN_PLACE)
async def test_at_a_commit_s_position_readers_of_the_log_get_one_error(
    log: MongoDatabase, process: MongoDatabase, document: dict[str, Any]
) -> None:
    await place(log, {"streamId": POST_C, **document})
    for name, reader in READERS.items():
        if document.get("recordedAt") == "today" and name in ("read_events", "read_shard"):
            assert len(await reader(process)) == 4  # times are not read
            continue
        with pytest.raises(LogDamaged, match=SENTENCE):
            await reader(process)


OF_ONE_STREAM: dict[str, Callable[[MongoDatabase], Awaitable[Any]]] = {
    "read_stream": lambda process: MongoEventStore(process).read_stream(POST_C),
    "past read_stream": lambda process: MongoPastEvents(process).read_stream(POST_C),
    "stream_tail": lambda process: MongoEventStore(process).stream_tail(POST_C),
    "last_version": lambda process: MongoPastEvents(process).last_version(POST_C),
    "find_commit": lambda process: MongoEventStore(process).find_commit(commit_id("foreign")),
    "past find_commit": lambda process: MongoPastEvents(process).find_commit(commit_id("foreign")),
    "append": lambda process: MongoEventStore(process).append([proposed(POST_C, 2), proposed(POST_A, 3)]),
}


@pytest.mark.parametrize("document", [*IN_PLACE.values(), BESIDE["a whole commit under a text"]])
async def test_no_call_fails_in_another_way(
    log: MongoDatabase, process: MongoDatabase, document: dict[str, Any]
) -> None:
    """A call that does not need the wrong field may succeed; one that needs it raises the error."""
    await place(log, {"streamId": POST_C, **document})
    answers = await asyncio.gather(*(call(process) for call in OF_ONE_STREAM.values()), return_exceptions=True)
    for failure in [answer for answer in answers if isinstance(answer, BaseException)]:
        assert isinstance(failure, LogDamaged | LogChanged), repr(failure)
        assert "not a commit" in failure.message


async def test_a_commit_whose_key_it_holds_is_unsettled_with_the_reason(log: MongoDatabase) -> None:
    """And the others of the same write are stored."""
    store = MongoEventStore(log)
    await place(log, {"_id": "copy", **WHOLE})
    [refused, appended] = await store.append([proposed(POST_C), proposed(POST_A, 3)])
    assert isinstance(refused, Unsettled)
    assert "its _id is 'copy'" in refused.reason
    assert appended == Appended(4)


@pytest.mark.parametrize("document", [IN_PLACE["without any field"], IN_PLACE["with a number for its commit id"]])
async def test_nothing_is_acknowledged_behind_it(
    log: MongoDatabase, process: MongoDatabase, document: dict[str, Any]
) -> None:
    await place(log, document)
    for each in (log, process):
        with pytest.raises(LogChanged, match="document at position 4 is not a commit"):
            await MongoEventStore(each).append([proposed(POST_A, 3)])


async def test_a_log_of_an_older_version_gets_the_validator(log: MongoDatabase) -> None:
    await log.database.command("collMod", "commits", validator={})
    await place(log, BESIDE["a text"])
    with pytest.raises(SchemaOutdated, match="accepts documents that are not commits; run `postlog init`"):
        await MongoProvisioning(log).check()
    assert await MongoEventStore(log).append([proposed(POST_A, 3)]) == [Appended(4)]

    assert await MongoProvisioning(log).provision() == [
        "Made MongoDB's collection 'commits' refuse documents that are not commits."
    ]
    with pytest.raises(WriteError):
        await log.commits.insert_one({"_id": "another"})
    assert await MongoProvisioning(log).provision() == []


async def test_the_validator_accepts_what_postlog_writes(log: MongoDatabase) -> None:
    validator = (await (await log.database.list_collections(filter={"name": "commits"})).to_list())[0]["options"]
    assert validator["validator"]["$jsonSchema"]["required"][0] == "_id"
    for number in (4, 2**40):
        document = at_position(encode_without_position(proposed(POST_C, number, name=f"{number}")), number)
        await log.commits.insert_one(document)
