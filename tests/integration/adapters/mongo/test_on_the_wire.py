"""The commands that the server receives, from its own profiler: the log's promises depend on them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.guard import COMMENT
from adapters.mongo.provisioning import MongoProvisioning
from application.envelopes import StoredEvent
from application.ports.event_store import Appended
from contracts.log_handle import POST_A, POST_B, RECORDED_AT, commit_id, liked, proposed, with_data
from local.databases import MongoDatabase as Place


@pytest.fixture
async def profiled(fresh_mongo_database: Place) -> AsyncIterator[MongoDatabase]:
    """The address sets weaker options than the log needs."""
    weak = "retryWrites=false&w=1&journal=false&readConcernLevel=local&readPreference=secondaryPreferred"
    async with MongoDatabase(f"{fresh_mongo_database.url}&{weak}", fresh_mongo_database.name) as database:
        await MongoProvisioning(database).provision()
        await database.database.command({"profile": 2})
        yield database


async def commands(database: MongoDatabase, collection: str, name: str) -> list[dict[str, Any]]:
    wanted = {"ns": f"{database.name}.{collection}", f"command.{name}": {"$exists": True}}
    return await database.database["system.profile"].find(wanted, sort=[("ts", 1)]).to_list()


async def test_a_stored_commit_can_be_read_with_any_shell(database: MongoDatabase) -> None:
    events = (StoredEvent("PostCreated", 1, {"author": "ann", "datePosted": "2026-11-23T15:46:58.123Z"}), liked("bob"))
    await MongoEventStore(database).append([proposed(POST_A, 1, *events, metadata={"actor": "ann"}, name="one")])
    [document] = await database.client[database.name]["commits"].find().to_list()
    assert list(document.items()) == [
        ("_id", 1),
        ("streamId", POST_A),
        ("version", 1),
        ("commitId", commit_id("one")),
        ("recordedAt", RECORDED_AT.replace(tzinfo=None)),
        ("metadata", {"actor": "ann"}),
        ("types", ["PostCreated", "PostLiked"]),
        (
            "events",
            (
                '[{"type":"PostCreated","schemaVersion":1,'
                '"data":{"author":"ann","datePosted":"2026-11-23T15:46:58.123Z"}},'
                '{"type":"PostLiked","schemaVersion":2,"data":{"username":"bob"}}]'
            ),
        ),
    ]
    assert await database.commits.count_documents({"_id": {"$type": "long"}, "recordedAt": {"$type": "date"}}) == 1


async def test_a_group_is_one_durable_insert_whatever_the_address_sets(profiled: MongoDatabase) -> None:
    group = [proposed(POST_A, version) for version in range(1, 1_001)]
    assert await MongoEventStore(profiled).append(group) == [Appended(position) for position in range(1, 1_001)]
    [insert] = await commands(profiled, "commits", "insert")
    assert insert["ninserted"] == 1_000
    assert insert["command"]["ordered"] is True
    [commits] = await (await profiled.database.list_collections(filter={"name": "commits"})).to_list()
    assert insert["command"]["collectionUUID"] == commits["info"]["uuid"]
    concern = insert["command"]["writeConcern"]
    assert (concern["w"], concern["j"], concern["wtimeout"]) == ("majority", True, 5_000)


async def test_a_group_too_large_for_one_insert_becomes_several_one_after_the_other(profiled: MongoDatabase) -> None:
    group = [with_data(POST_A, version, {"message": "x" * 990_000}) for version in range(1, 41)]
    group += [proposed(POST_B, version) for version in range(1, 1_101)]
    assert await MongoEventStore(profiled).append(group) == [Appended(position) for position in range(1, 1_141)]
    assert [insert["ninserted"] for insert in await commands(profiled, "commits", "insert")] == [16, 16, 1_000, 108]


async def test_every_read_of_the_log_is_a_majority_read(profiled: MongoDatabase) -> None:
    store, log = MongoEventStore(profiled), MongoCommitLog(profiled)
    await store.append([proposed(POST_A, 1)])
    await store.read_stream(POST_A, after_version=1)
    await store.stream_tail(POST_A)
    await store.find_commit("nobody's")
    await log.read(0)
    await log.tip()
    finds = [find for find in await commands(profiled, "commits", "find") if find["command"].get("comment") != COMMENT]
    assert len(finds) >= 6
    assert {find["command"]["readConcern"]["level"] for find in finds} == {"majority"}
    assert {find["command"]["$readPreference"]["mode"] for find in finds if "$readPreference" in find["command"]} <= {
        "primary"
    }


async def test_a_read_is_never_older_than_what_this_process_was_acknowledged(profiled: MongoDatabase) -> None:
    """Also not on the primary that a failover brings: the read names the time of the write and waits for it."""
    store = MongoEventStore(profiled)
    await store.append([proposed(POST_A, 1)])
    newest = await profiled.client.local["oplog.rs"].find_one(
        {"ns": f"{profiled.name}.commits"}, sort=[("$natural", -1)]
    )
    assert newest is not None
    await store.find_commit("nobody's")
    [*_, find] = await commands(profiled, "commits", "find")
    assert find["command"]["readConcern"]["afterClusterTime"] >= newest["ts"]


async def test_a_tail_is_read_behind_a_durable_write(profiled: MongoDatabase) -> None:
    """Only a true primary can do that write, and the read waits for it."""
    store = MongoEventStore(profiled)
    await store.append([proposed(POST_A, 1)])
    await store.stream_tail(POST_A)
    [update] = await commands(profiled, "writers", "q")
    written = await profiled.client.local["oplog.rs"].find_one(
        {"ns": f"{profiled.name}.writers"}, sort=[("$natural", -1)]
    )
    assert written is not None
    [*_, find] = await commands(profiled, "commits", "find")
    assert update["op"] == "update"
    assert find["command"]["readConcern"]["afterClusterTime"] >= written["ts"]


async def test_concurrent_reads_of_tails_share_one_write(profiled: MongoDatabase) -> None:
    store = MongoEventStore(profiled)
    await store.append([proposed(POST_A, 1)])
    assert await gathered(store, 64) == [1] * 64
    [barrier] = await profiled.writers.find({"_id": "barrier"}).to_list()
    assert barrier["passed"] <= 2


async def gathered(store: MongoEventStore, times: int) -> list[int]:
    tails = await asyncio.gather(*(store.stream_tail(POST_A) for _ in range(times)))
    return [tail.version for tail in tails if tail]
