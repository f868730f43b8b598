"""The log changes underneath running command processes: restored, dropped, edited. Nothing is acknowledged that the log
does not hold, or that is behind a gap; each process reports it, and is ready again after a restart.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from adapters.mongo import append, guard
from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from adapters.mongo.snapshots import MongoSnapshots
from adapters.mongo.tip import CommitRef
from application.errors import LogChanged
from application.mediator import CommandResult
from application.ports.event_store import Appended
from command_process import ANYBODY, CODEC, CommandProcess, keyed
from contracts.log_handle import proposed
from domain.commands import CreatePost, LikePost, PostCommand, UnlikePost
from domain.ids import PostId
from given import NOON
from local.databases import MongoDatabase as Place

POSTS = [PostId(f"0198c0de-0000-7000-8000-0000000000{number:02x}") for number in range(64)]
OLD, CUT = POSTS[0], POSTS[1]
Documents = list[dict[str, Any]]


@dataclass(frozen=True)
class Process:
    """A command process with a memory of its own."""

    database: MongoDatabase
    store: MongoEventStore
    commands: CommandProcess
    probe: MongoProbe

    async def send(self, command: PostCommand, key: str | None = None) -> CommandResult:
        return await self.commands.commands.handle(command, keyed(key) if key else ANYBODY)


@asynccontextmanager
async def process(place: Place, series: int = 0) -> AsyncIterator[Process]:
    async with MongoDatabase(place.url, place.name) as database:
        store = MongoEventStore(database)
        commands = CommandProcess(store, MongoSnapshots(database), series=series)
        yield Process(database, store, commands, MongoProbe(database, store.guard))
        await commands.commands.stop()


def created(post_id: PostId) -> CreatePost:
    return CreatePost(post_id=post_id, author="Ann", message="Hello", date_posted=NOON)


def liked(post_id: PostId, username: str = "Bob") -> LikePost:
    return LikePost(post_id=post_id, username=username)


@pytest.fixture
async def admin(fresh_mongo_database: Place) -> AsyncIterator[MongoDatabase]:
    async with MongoDatabase(fresh_mongo_database.url, fresh_mongo_database.name) as database:
        await MongoProvisioning(database).provision()
        yield database


@dataclass(frozen=True)
class Running:
    """Two processes that have written ten commits, position 1 to 10; `backup` is of the time when there were five.

    `OLD` has the versions 1 (position 1) and 2 (position 7), `CUT` 1 (2) and 2 (9)."""

    one: Process
    two: Process
    admin: MongoDatabase
    backup: Documents

    async def positions(self) -> list[int]:
        found = await self.admin.commits.find({}, {"_id": 1}, sort=[("_id", 1)]).to_list()
        return [document["_id"] for document in found]


@pytest.fixture
async def running(fresh_mongo_database: Place, admin: MongoDatabase) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(process(fresh_mongo_database))
        two = await stack.enter_async_context(process(fresh_mongo_database, series=1))
        for number in range(5):
            await (one, two)[number % 2].send(created(POSTS[number]))
        backup = await admin.commits.find({}, sort=[("_id", 1)]).to_list()
        await one.send(created(POSTS[5]))
        await one.send(liked(OLD))
        await two.send(created(POSTS[6]))
        await two.send(liked(CUT))
        await one.send(created(POSTS[7]))
        yield Running(one, two, admin, backup)


async def delete_and_insert(running: Running) -> None:
    await running.admin.commits.delete_many({})
    await running.admin.commits.insert_many(running.backup)


async def drop_and_insert(running: Running) -> None:
    """As `mongorestore --drop`."""
    await running.admin.commits.drop()
    await MongoProvisioning(running.admin).provision()
    await running.admin.commits.insert_many(running.backup)


async def drop_database(running: Running) -> None:
    await running.admin.client.drop_database(running.admin.name)


async def drop_collection(running: Running) -> None:
    await running.admin.commits.drop()


async def rename_away(running: Running) -> None:
    await running.admin.commits.rename("kept")


async def rename_away_and_restore(running: Running) -> None:
    await rename_away(running)
    await MongoProvisioning(running.admin).provision()
    await running.admin.commits.insert_many(running.backup)


async def same_length_with_other_content(running: Running) -> None:
    documents = await running.admin.commits.find({}, sort=[("_id", 1)]).to_list()
    for document in documents[5:]:
        document["commitId"] = f"another {document['_id']}"
    await running.admin.commits.delete_many({})
    await running.admin.commits.insert_many(documents)


async def remove_all_but_the_newest(running: Running) -> None:
    await running.admin.commits.delete_many({"_id": {"$lt": 10}})


async def remove_all_but_the_oldest_and_the_newest(running: Running) -> None:
    """As a restore that deletes while commits are written: the last ones are inserted behind the deletion."""
    await running.admin.commits.delete_many({"_id": {"$gt": 5, "$lt": 9}})


async def drop_indexes(running: Running) -> None:
    await running.admin.commits.drop_indexes()


async def drop_one_index(running: Running) -> None:
    await running.admin.commits.drop_index("stream_version")


CHANGES: dict[str, Callable[[Running], Awaitable[None]]] = {
    change.__name__: change
    for change in (
        delete_and_insert,
        drop_and_insert,
        drop_database,
        drop_collection,
        rename_away,
        rename_away_and_restore,
        same_length_with_other_content,
        remove_all_but_the_oldest_and_the_newest,
        drop_indexes,
        drop_one_index,
    )
}


async def sent(process: Process, command: PostCommand, key: str | None = None) -> CommandResult | Exception:
    try:
        return await process.send(command, key)
    except Exception as error:
        return error


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_nothing_is_acknowledged_on_a_log_that_changed(
    running: Running,
    change: Callable[[Running], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever command the process runs first."""
    monkeypatch.setattr(guard, "RECHECK_SECONDS", 0.0)
    await change(running)
    firsts = {running.one: created(POSTS[20]), running.two: liked(OLD, "Cid")}
    for process, command in firsts.items():
        answer = await sent(process, command)
        assert isinstance(answer, LogChanged), answer
        assert (answer.code, answer.path) == ("log-changed", "event_store.mongo.database")
        assert f"MongoDB's database '{running.admin.name}'" in answer.message
        assert "Stop the processes that write, check the log" in answer.message
        for later in (created(POSTS[21]), liked(POSTS[5]), liked(OLD), liked(CUT)):
            assert isinstance(await sent(process, later), LogChanged)
        probed = await process.probe.probe()
        assert (probed.ok, probed.detail) == (False, answer.message)
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


@pytest.mark.parametrize(
    "change",
    [
        delete_and_insert,
        drop_and_insert,
        drop_database,
        same_length_with_other_content,
        remove_all_but_the_newest,
    ],
)
async def test_readiness_notices_it_before_the_next_write(
    running: Running, change: Callable[[Running], Awaitable[None]]
) -> None:
    assert (await running.one.probe.probe()).ok
    await change(running)
    probed = await running.one.probe.probe()
    assert not probed.ok
    if change is not drop_database:  # there the missing indexes are noticed first
        assert isinstance(await sent(running.one, created(POSTS[20])), LogChanged)
        assert max(await running.positions()) <= 10


async def test_a_write_does_not_recreate_a_dropped_collection(running: Running) -> None:
    await running.admin.commits.drop()
    assert isinstance(await sent(running.one, created(POSTS[20])), LogChanged)
    assert "commits" not in await running.admin.database.list_collection_names()


async def test_a_key_has_one_effect_when_two_processes_use_it_on_a_dropped_collection(running: Running) -> None:
    await running.admin.commits.drop()
    answers = await asyncio.gather(
        *(
            sent(process, created(POSTS[20 + number]), key=f"key {number}")
            for number in range(10)
            for process in (running.one, running.two)
        )
    )
    assert [type(answer) for answer in answers] == [LogChanged] * 20
    assert await running.positions() == []


async def test_a_key_has_one_effect_also_when_the_login_may_not_read_the_collection_s_uuid(running: Running) -> None:
    """Then the server creates a collection for the insert, and only the guard notices."""
    for process in (running.one, running.two):
        process.database.commits_uuid = None
    await running.admin.commits.drop()
    answers = await asyncio.gather(
        *(
            sent(process, created(POSTS[20 + number]), key=f"key {number}")
            for number in range(10)
            for process in (running.one, running.two)
        )
    )
    assert [type(answer) for answer in answers] == [LogChanged] * 20


async def test_a_like_on_a_stream_that_was_cut_short_is_not_acknowledged(running: Running) -> None:
    """Its last commit is gone; the log's newest one is still there, and so is the process's own newest."""
    await running.admin.commits.delete_one({"_id": 7})
    answer = await sent(running.one, liked(OLD, "Cid"))
    assert isinstance(answer, LogChanged)
    assert "no commit at position 7" in answer.message


async def test_no_refusal_rests_on_a_stream_that_was_cut_short(running: Running) -> None:
    """Bob likes the post already, as far as this process remembers; in the log he no longer does."""
    await running.admin.commits.delete_one({"_id": 7})
    answer = await sent(running.one, liked(OLD, "Bob"))
    assert isinstance(answer, LogChanged)


async def test_a_stream_whose_end_is_another_commit_of_the_same_version_is_noticed(running: Running) -> None:
    await running.admin.commits.delete_one({"_id": 7})
    other = dict((await running.admin.commits.find({"_id": 9}).to_list())[0], _id=7, streamId=OLD, commitId="another")
    await running.admin.commits.insert_one(other)
    assert isinstance(await sent(running.one, liked(OLD, "Cid")), LogChanged)
    assert isinstance(await sent(running.two, UnlikePost(post_id=OLD, username="Bob")), CommandResult)


async def test_a_process_that_lost_the_race_does_not_build_on_a_commit_behind_the_gap(running: Running) -> None:
    """The first one leaves a commit behind a gap that it could not know of; no process builds on it."""
    await running.two.send(created(POSTS[8]))
    await delete_and_insert(running)
    await running.admin.commits.insert_one(
        dict(running.backup[0], _id=11, streamId=POSTS[40], commitId="unacknowledged")
    )
    answers = [await sent(each, created(POSTS[20 + number])) for number, each in enumerate((running.one, running.two))]
    assert [type(answer) for answer in answers] == [LogChanged] * 2


async def test_a_process_that_knows_a_commit_behind_a_gap_does_not_build_on_it(running: Running) -> None:
    """Its own newest commit is still there; the ones after it are gone, except one that was never acknowledged."""
    await running.admin.commits.delete_one({"_id": 10})
    behind = dict(running.backup[0], _id=11, streamId=POSTS[40], commitId="unacknowledged")
    await running.admin.commits.insert_one(behind)
    assert await MongoCommitLog(running.two.database).tip() == 11
    answer = await sent(running.two, created(POSTS[20]))
    assert isinstance(answer, LogChanged)
    assert "no commit at position 10" in answer.message


async def test_a_used_key_is_not_answered_from_a_commit_behind_a_gap(
    running: Running, fresh_mongo_database: Place
) -> None:
    """It was never acknowledged, and no reader reaches it."""
    await delete_and_insert(running)
    assert isinstance(await sent(running.one, created(POSTS[20]), key="one"), LogChanged)
    async with process(fresh_mongo_database, series=2) as restarted:
        assert isinstance(await sent(restarted, created(POSTS[20]), key="one"), LogChanged)


async def test_a_restarted_process_does_not_write_behind_a_gap_until_it_is_filled(
    running: Running, fresh_mongo_database: Place
) -> None:
    await delete_and_insert(running)
    assert isinstance(await sent(running.one, created(POSTS[20]), key="one"), LogChanged)
    assert await running.positions() == [1, 2, 3, 4, 5, 11]
    async with process(fresh_mongo_database, series=2) as restarted:
        for command, key in ((created(POSTS[30]), None), (created(POSTS[20]), "one"), (liked(POSTS[20]), None)):
            answer = await sent(restarted, command, key)
            assert isinstance(answer, LogChanged), answer
            assert "has no commit at position 6" in answer.message
    assert await running.positions() == [1, 2, 3, 4, 5, 11]

    await running.admin.commits.delete_one({"_id": 11})
    async with process(fresh_mongo_database, series=3) as restarted:
        answer = await restarted.send(created(POSTS[20]), key="one")
        assert (answer.position, answer.replayed) == (6, False)
        assert (await restarted.probe.probe()).ok


async def test_a_process_restarted_on_a_sound_log_works_again(running: Running, fresh_mongo_database: Place) -> None:
    await drop_and_insert(running)
    assert isinstance(await sent(running.one, created(POSTS[20])), LogChanged)
    async with process(fresh_mongo_database, series=2) as restarted:
        assert (await restarted.send(liked(OLD))).position == 6
        assert (await restarted.send(liked(OLD, "Cid"))).version == 3
    assert await running.positions() == [1, 2, 3, 4, 5, 6, 7]


async def test_a_removed_log_id_is_no_missing_commit(running: Running) -> None:
    """The check that rows and log match notices it; the log itself is complete."""
    await MongoCommitLog(running.admin).log_id()
    await running.admin.relay.delete_one({"_id": "log"})
    assert (await running.one.send(created(POSTS[20]))).position == 11


async def test_the_tip_that_goes_back_is_noticed_by_a_reader_of_the_same_process(running: Running) -> None:
    log = MongoCommitLog(running.one.database)
    assert await log.tip() == 10
    await delete_and_insert(running)
    assert await log.tip() == 5
    answer = await sent(running.one, liked(OLD))
    assert isinstance(answer, LogChanged)
    assert "it ends at position 5, and ended at 10 before" in answer.message
    assert await running.positions() == [1, 2, 3, 4, 5]
    await log.wait(after=5, timeout=0.3)
    assert running.one.database.committed_tip.position <= 5


async def test_an_import_ends_with_the_error_and_does_not_retry_for_a_minute(running: Running) -> None:
    from adapters.system.clock_and_ids import SystemClock
    from application.envelopes import StoredEvent
    from application.imports.history_import import HistoryAppender
    from application.imports.post_import import PostImport
    from application.ports.history_source import DotnetEvent

    line = b'{"externalId":"%d","author":"Ann","message":"Hi","datePosted":"2026-01-31T09:30:00Z","likes":3}'
    posts = PostImport(running.one.commands.commands, running.one.store, CODEC, SystemClock())
    assert len([each async for each in posts.run([line % 1])]) == 1
    await delete_and_insert(running)
    async with asyncio.timeout(20):
        with pytest.raises(LogChanged):
            [each async for each in posts.run([line % 2])]
        event = DotnetEvent(
            document_id="1", post_id=POSTS[50], version=1, recorded_at=NOON, event=StoredEvent("PostLiked", 1, {})
        )
        with pytest.raises(LogChanged):
            await HistoryAppender(running.two.store, SystemClock(), patience=60.0).append([event])


async def test_an_attempt_without_a_reply_is_not_acknowledged_when_it_is_behind_a_gap(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The insert arrives, its reply does not, and the commits that it was built on are gone at the lookup."""
    insert_group = append.insert_group

    async def inserted_and_lost(database: MongoDatabase, documents: Any) -> Any:
        monkeypatch.setattr(append, "insert_group", insert_group)
        await insert_group(database, documents)
        await running.admin.commits.delete_many({"_id": {"$gt": 5, "$lt": 11}})
        raise AutoReconnect("the connection was lost")

    async def sees_nothing(*_: Any) -> bool:
        return True

    monkeypatch.setattr(append, "insert_group", inserted_and_lost)
    monkeypatch.setattr(running.one.store.guard, "check_beside", sees_nothing)
    assert isinstance(await sent(running.one, created(POSTS[20])), LogChanged)


# When the change happens


async def test_a_change_between_the_check_and_the_insert_is_noticed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check begins first and finds everything; then the log is restored, then the insert arrives."""
    checked = asyncio.Event()
    find, insert_group = running.one.store.guard._find, append.insert_group

    async def noted(*wanted: Any) -> Any:
        found = await find(*wanted)
        checked.set()
        return found

    async def late(database: MongoDatabase, documents: Any) -> Any:
        await checked.wait()
        await delete_and_insert(running)
        return await insert_group(database, documents)

    monkeypatch.setattr(running.one.store.guard, "_find", noted)
    monkeypatch.setattr(append, "insert_group", late)
    assert isinstance(await sent(running.one, created(POSTS[20])), LogChanged)
    assert await running.positions() == [1, 2, 3, 4, 5, 11]


async def test_an_insert_that_takes_long_is_looked_for_at_most_once_a_millisecond(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More reads would only take the processor from a server that is busy."""
    reads, loop = 0, asyncio.get_running_loop()

    async def finds_nothing(*_: Any) -> dict[int, str]:
        nonlocal reads
        reads += 1
        return {}

    monkeypatch.setattr(running.one.store.guard, "_find", finds_nothing)
    inserting = loop.create_future()
    loop.call_later(0.05, inserting.set_result, None)
    began = loop.time()
    assert not await running.one.store.guard.check_beside(inserting, {}, CommitRef(1, "its id"))
    assert 2 < reads <= 3 + (loop.time() - began) * 1_100


async def hammer(process: Process, series: int, restored: asyncio.Event, acknowledged: set[str]) -> None:
    """Write until the log changes. Notes what is acknowledged of the writes that begin when it has been restored: of
    those before, the deletion may have left some above the gap."""
    number = 0
    while True:
        number += 1
        began_after = restored.is_set()
        streams = [proposed(PostId(f"0198c0de-0000-7000-{0x9000 + series:04x}-{number:010x}{n:02x}")) for n in range(3)]
        try:
            outcomes = await process.store.append(streams)
        except LogChanged:
            return
        acknowledged |= {
            commit.commit_id
            for commit, outcome in zip(streams, outcomes, strict=True)
            if isinstance(outcome, Appended) and began_after
        }


@pytest.mark.parametrize("seed", range(3))
async def test_restores_under_writes_leave_nothing_acknowledged_behind_a_gap(running: Running, seed: int) -> None:
    """A commit acknowledged before the restore may be gone with it; no acknowledged commit is where readers can't reach
    it."""
    chance = random.Random(seed)
    for process in (running.one, running.two):
        process.database.commits_uuid = None if seed % 2 else process.database.commits_uuid
    acknowledged: set[str] = set()
    restored = asyncio.Event()
    writing = [
        asyncio.create_task(hammer(each, number, restored, acknowledged))
        for number, each in enumerate((running.one, running.two))
    ]
    await asyncio.sleep(chance.uniform(0.05, 0.3))
    await chance.choice([delete_and_insert, drop_and_insert])(running) if seed % 2 == 0 else await delete_and_insert(
        running
    )
    restored.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*writing)
    documents = await running.admin.commits.find({}, {"commitId": 1}, sort=[("_id", 1)]).to_list()
    behind_a_gap = {document["commitId"] for place, document in enumerate(documents, 1) if document["_id"] != place}
    assert not acknowledged & behind_a_gap
