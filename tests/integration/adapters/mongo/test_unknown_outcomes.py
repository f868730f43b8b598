"""The reply to a write is lost, late or an error: the outcome that is returned must be what the log holds."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from adapters.mongo import append
from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.guard import LogGuard
from adapters.mongo.provisioning import MongoProvisioning
from adapters.wire.commit_bson import at_position, encode_without_position
from application.envelopes import Commit
from application.ports.event_store import AlreadyStored, Appended, NotTried, Unsettled, VersionTaken
from contracts.log_handle import POST_A, POST_B, POST_C, commit_id, liked, proposed
from contracts.waiting import eventually
from domain.ids import PostId
from local.mongod import ReplicaSet
from proxy import Proxy

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

NOT_DONE = {"errorCode": 50}
"""The server replies with an error and does nothing."""

DONE_IN_DOUBT = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
"""The server does it, and does not know whether the majority has it."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A log on a server whose inserts can be made to fail."""

    server: ReplicaSet
    database: MongoDatabase
    store: MongoEventStore

    async def inserts_fail(self, how: dict[str, Any], times: int = 1) -> None:
        data = {"failCommands": ["insert"], "namespace": f"{self.database.name}.commits", **how}
        fail_point = {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}
        await self.database.client.admin.command(fail_point)

    async def stored(self) -> list[Commit]:
        return await MongoCommitLog(self.database).read(0)


@pytest.fixture
async def failing(killable_mongod: ReplicaSet) -> AsyncIterator[Failing]:
    async with MongoDatabase(killable_mongod.url, f"test_{uuid4().hex[:12]}", append_timeout=15.0) as database:
        await MongoProvisioning(database).provision()
        yield Failing(killable_mongod, database, MongoEventStore(database))


def positions(commits: Sequence[Commit]) -> list[tuple[int, str, int]]:
    return [(commit.position, commit.stream_id, commit.version) for commit in commits]


async def test_a_write_that_happened_without_a_reply_is_found_and_returned_once(failing: Failing) -> None:
    await failing.inserts_fail(DONE_IN_DOUBT)
    group = [proposed(POST_A, 1), proposed(POST_B, 1), proposed(POST_A, 2)]
    assert await failing.store.append(group) == [Appended(1), Appended(2), Appended(3)]
    assert positions(await failing.stored()) == [(1, POST_A, 1), (2, POST_B, 1), (3, POST_A, 2)]


async def test_a_write_that_did_not_happen_is_sent_again(failing: Failing) -> None:
    await failing.inserts_fail(NOT_DONE, times=3)
    assert await failing.store.append([proposed(POST_A, 1), proposed(POST_A, 2)]) == [Appended(1), Appended(2)]
    assert positions(await failing.stored()) == [(1, POST_A, 1), (2, POST_A, 2)]


async def test_a_commit_of_another_process_with_the_same_id_is_not_taken_for_this_one(failing: Failing) -> None:
    theirs = proposed(POST_A, 1, liked("theirs"), name="one key")
    async with MongoDatabase(failing.database.url, failing.database.name) as other:
        await MongoEventStore(other).append([theirs])
    await failing.inserts_fail(NOT_DONE)
    mine = proposed(POST_B, 1, liked("mine"), name="one key")
    [outcome, later] = await failing.store.append([mine, proposed(POST_B, 2)])
    assert isinstance(outcome, AlreadyStored)
    assert (outcome.commit.stream_id, outcome.commit.events) == (POST_A, theirs.events)
    assert later == NotTried()


async def test_a_failure_inside_a_group_that_ended_in_doubt_is_that_commit_s_alone(failing: Failing) -> None:
    await failing.store.append([proposed(POST_B, 1, name="theirs")])
    other_process = MongoEventStore(failing.database)
    await failing.inserts_fail(DONE_IN_DOUBT)
    group = [proposed(POST_A, 1), proposed(POST_B, 1, name="late"), proposed(POST_B, 2), proposed(POST_C, 1)]
    assert await other_process.append(group) == [Appended(2), VersionTaken(), NotTried(), Appended(3)]
    assert positions(await failing.stored()) == [(1, POST_B, 1), (2, POST_A, 1), (3, POST_C, 1)]


async def test_an_attempt_that_arrives_after_the_lookup_is_not_stored_twice(
    failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that is not found proves nothing: the first attempt is still on its way."""
    commit = proposed(POST_A, 1, liked("ann"))
    look = append.stored_commits

    async def lookup_too_early(database: MongoDatabase, commit_ids: Sequence[str]) -> dict[str, Commit]:
        found = await look(database, commit_ids)
        monkeypatch.setattr(append, "stored_commits", look)
        late = [at_position(encode_without_position(late), place) for place, late in enumerate(arriving, 1)]
        await database.commits.insert_many(late)
        return found

    arriving = [commit, proposed(POST_B, 1)]
    monkeypatch.setattr(append, "stored_commits", lookup_too_early)
    await failing.inserts_fail(NOT_DONE)
    assert await failing.store.append([commit, proposed(POST_C, 1)]) == [Appended(1), Appended(3)]
    assert positions(await failing.stored()) == [(1, POST_A, 1), (2, POST_B, 1), (3, POST_C, 1)]


async def test_when_the_connection_breaks_after_the_write_its_position_is_returned(failing: Failing) -> None:
    async with Proxy(failing.server.ports[0]) as way:
        url = f"mongodb://127.0.0.1:{way.port}/?directConnection=true&serverSelectionTimeoutMS=200"
        async with MongoDatabase(url, failing.database.name, append_timeout=15.0) as cut_off:
            store = MongoEventStore(cut_off)
            await store.append([proposed(POST_A, 1)])
            way.answers_are_lost = True
            append = asyncio.create_task(store.append([proposed(POST_A, 2)]))
            await eventually(lambda: failing.store.find_commit(commit_id(f"{POST_A}/2")))
            # More than the driver's own second attempt: it has given up, and the store takes over.
            await eventually(lambda: asyncio.sleep(0, way.answers_lost >= 4))
            way.answers_are_lost = False
            assert await append == [Appended(2)]
    assert positions(await failing.stored()) == [(1, POST_A, 1), (2, POST_A, 2)]


async def test_a_server_killed_during_appends_keeps_every_acknowledged_commit_once(failing: Failing) -> None:
    async def append(stream: PostId, count: int) -> list[Any]:
        return [
            outcome
            for version in range(1, count + 1)
            for outcome in await stores[stream].append([proposed(stream, version)])
        ]

    stores = {POST_A: failing.store, POST_B: MongoEventStore(failing.database)}
    append = asyncio.gather(append(POST_A, 150), append(POST_B, 150))
    await eventually(lambda: tip_is_beyond(failing, 50))
    await asyncio.to_thread(failing.server.kill, 0)
    await asyncio.to_thread(failing.server.restart, 0)
    answered = await append
    stored = await failing.stored()
    assert [commit.position for commit in stored] == list(range(1, 301))
    for stream, outcomes in zip((POST_A, POST_B), answered, strict=True):
        assert outcomes == [Appended(commit.position) for commit in stored if commit.stream_id == stream]


async def tip_is_beyond(failing: Failing, position: int) -> bool:
    return await MongoCommitLog(failing.database).tip() > position


async def test_after_the_time_limit_the_outcome_is_unsettled(failing: Failing) -> None:
    async with MongoDatabase(failing.server.url, failing.database.name, append_timeout=1.0) as impatient:
        store = MongoEventStore(impatient)
        assert await store.append([proposed(POST_A, 1)]) == [Appended(1)]
        failing.server.freeze(0)
        group = [proposed(POST_A, 2), proposed(POST_B, 1)]
        unsettled = await store.append(group)
        failing.server.thaw(0)
        address = failing.server.url.partition("?")[0]
        told = (
            f"The event store, MongoDB at {address} (event_store.mongo.url), did not answer in time; it hangs, or it "
            "or its network is overloaded."
        )
        assert unsettled == [Unsettled(told), Unsettled(told)]
    again = await failing.store.append(group)
    stored = await failing.stored()
    assert [commit.position for commit in stored] == [1, 2, 3]
    for outcome, commit in zip(again, stored[1:], strict=True):
        assert outcome in (Appended(commit.position), AlreadyStored(commit))


async def test_an_insert_that_fails_while_the_read_beside_it_hangs_leaves_no_error_behind(
    failing: Failing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio logs an error that nobody has looked at, with its stack, as soon as its task is collected."""
    assert await failing.store.append([proposed(POST_A, 1)]) == [Appended(1)]

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(LogGuard, "_find", hang)
    failing.database.append_timeout = 3.0
    await failing.inserts_fail(NOT_DONE, times=100)
    [outcome] = await failing.store.append([proposed(POST_A, 2)])
    assert isinstance(outcome, Unsettled)
    await failing.inserts_fail(NOT_DONE, times=0)
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
