"""Whatever the server replies to a command, and whenever a caller gives up on one, the worst result is
`StoreUnavailable`, and the next call works."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from pymongo.errors import AutoReconnect
from pymongo.logger import _log_client_error

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from adapters.mongo.relay_state import MongoRelayState
from adapters.mongo.snapshots import MongoSnapshots
from application.errors import StoreUnavailable
from application.ports.commit_log import Shard
from application.ports.event_store import AppendOutcome, Snapshot
from application.ports.relay_state import Lease
from contracts.log_handle import POST_A, POST_B, commit_id, proposed
from contracts.waiting import eventually
from domain.ids import PostId
from local.mongod import ReplicaSet

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

Reply = dict[str, Any]

COMMANDS = [
    "find",
    "insert",
    "update",
    "findAndModify",
    "getMore",
    "listIndexes",
    "createIndexes",
    "aggregate",
    "delete",
]
"""What Postlog sends, and more."""

STEPPED_DOWN, SHUT_DOWN, NO_MAJORITY = 11602, 91, 64
RETRYABLE = ["RetryableWriteError"]

REPLIES: dict[str, Reply] = {
    "write concern error, as a stepdown gives it": {
        "writeConcernError": {"code": STEPPED_DOWN, "errmsg": "operation was interrupted"},
        "errorLabels": RETRYABLE,
    },
    "write concern error with details and no labels": {
        "writeConcernError": {"code": NO_MAJORITY, "errmsg": "timed out", "errInfo": {"wtimeout": True}},
    },
    "write concern error at a shutdown": {
        "writeConcernError": {"code": SHUT_DOWN, "errmsg": "shutting down"},
        "errorLabels": RETRYABLE,
    },
    "error of a stepdown with labels": {"errorCode": STEPPED_DOWN, "errorLabels": RETRYABLE},
    "error of a stepdown without labels": {"errorCode": STEPPED_DOWN, "errorLabels": []},
    "error with labels of transactions": {"errorCode": 251, "errorLabels": ["TransientTransactionError"]},
    "no longer primary": {"errorCode": 10107},
    "an error that nobody knows": {"errorCode": 31_999},
    "connection closed": {"closeConnection": True},
}

LEASE = Lease(owner="one", token=1, position=0, ttl_seconds=1.0)
SNAPSHOT = Snapshot(stream_id=POST_A, version=1, position=1, format="1", state=b"")


@dataclass(frozen=True, slots=True)
class Log:
    """Every port of a log, on one database. `admin` is the test's own way to the server."""

    database: MongoDatabase
    store: MongoEventStore
    log: MongoCommitLog
    admin: "pymongo.MongoClient[Reply]"

    @contextmanager
    def replying(self, commands: Sequence[str], reply: Reply) -> Iterator[None]:
        data = {"failCommands": list(commands), "appName": "postlog", **reply}
        self.admin.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
        try:
            yield
        finally:
            self.admin.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@pytest.fixture
async def log(killable_mongod: ReplicaSet) -> AsyncIterator[Log]:
    name = f"test_{uuid4().hex[:12]}"
    url = f"{killable_mongod.url}&serverSelectionTimeoutMS=1600"
    with pymongo.MongoClient[Reply](killable_mongod.url, appname="test") as admin:
        async with MongoDatabase(f"{killable_mongod.url}&serverSelectionTimeoutMS=20000", name) as patient:
            await MongoProvisioning(patient).provision()
            await MongoEventStore(patient).append([proposed(POST_A, 1)])
        async with MongoDatabase(url, name, append_timeout=0.4, read_timeout=5.0) as database:
            store = MongoEventStore(database)
            yield Log(database, store, MongoCommitLog(database), admin)
        admin.drop_database(name)


async def _append(log: Log) -> Sequence[AppendOutcome]:
    return await log.store.append([proposed(PostId(str(uuid4())), 1)])


CALLS: dict[str, Callable[[Log], Awaitable[object]]] = {
    "append": _append,
    "append by a new process": lambda log: MongoEventStore(log.database).append([proposed(POST_B, 3)]),
    "read_stream": lambda log: log.store.read_stream(POST_A),
    "stream_tail": lambda log: log.store.stream_tail(POST_A),
    "find_commit": lambda log: log.store.find_commit(commit_id("x")),
    "last_version": lambda log: MongoPastEvents(log.database).last_version(POST_A),
    "log_id": lambda log: log.log.log_id(),
    "tip": lambda log: log.log.tip(),
    "proven_tip": lambda log: log.log.proven_tip(),
    "read": lambda log: log.log.read(0),
    "read_events": lambda log: log.log.read_events(0),
    "read_shard": lambda log: log.log.read_shard(0, 9, Shard(0, 1)),
    "wait": lambda log: log.log.wait(after=10_000, timeout=0.02),
    "load": lambda log: MongoSnapshots(log.database).load(POST_A),
    "store": lambda log: MongoSnapshots(log.database).store(SNAPSHOT),
    "acquire": lambda log: MongoRelayState(log.database).acquire("one", 1.0),
    "renew": lambda log: MongoRelayState(log.database).renew(LEASE),
    "advance": lambda log: MongoRelayState(log.database).advance(LEASE, 1),
    "release": lambda log: MongoRelayState(log.database).release(LEASE),
    "state": lambda log: MongoRelayState(log.database).state(),
    "provision": lambda log: MongoProvisioning(log.database).provision(),
    "check": lambda log: MongoProvisioning(log.database).check(),
    "probe": lambda log: MongoProbe(log.database).probe(),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=list(REPLIES))
async def test_any_reply_at_most_makes_the_store_unavailable(log: Log, reply: Reply) -> None:
    with log.replying(COMMANDS, reply):
        await asyncio.gather(*(works(call, log) for call in CALLS.values()))
    await asyncio.gather(*(eventually(partial(works, call, log)) for call in CALLS.values()))


async def works(call: Callable[[Log], Awaitable[object]], log: Log) -> bool:
    with suppress(StoreUnavailable):
        await call(log)
        return True
    return False


async def test_callers_that_give_up_during_server_selection_leave_the_driver_usable(log: Log) -> None:
    """On Python 3.11 a cancellation could leave the lock of the driver's topology taken: in a call that had waited for
    half a second and competed with others for that lock."""
    chance = random.Random(11)
    log.admin.admin.command({"replSetStepDown": 4, "force": True})

    async def ask_and_give_up() -> None:
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(chance.uniform(0.5, 1.1)):
                await log.log.tip()

    for _ in range(3):
        await asyncio.gather(*(ask_and_give_up() for _ in range(400)))
    await eventually(partial(works, CALLS["tip"], log), seconds=15)
    assert await log.log.tip() == 1


async def test_a_call_of_a_cancelled_caller_still_ends(log: Log) -> None:
    ended = asyncio.Event()

    async def slow(_: object) -> None:
        await asyncio.sleep(0.05)
        ended.set()

    calling = asyncio.create_task(log.database.call(slow))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(ended.wait(), 10)


@contextmanager
def hung(database: MongoDatabase) -> Iterator[None]:
    """The client as a cancelled call used to leave it: its topology's lock is taken and never released."""
    lock = database.client._topology._lock
    lock._locked = True
    yield


async def test_a_client_that_hangs_is_replaced(killable_mongod: ReplicaSet, caplog: pytest.LogCaptureFixture) -> None:
    url = f"{killable_mongod.url}&serverSelectionTimeoutMS=200"
    name = f"test_{uuid4().hex[:12]}"
    async with MongoDatabase(url, name, append_timeout=0.3, read_timeout=0.3) as database:
        log = MongoCommitLog(database)
        client = database.client
        with hung(database):
            with pytest.raises(StoreUnavailable):
                await log.tip()

            async def has_answered() -> bool:
                with suppress(StoreUnavailable):
                    return await log.tip() == 0
                return False

            await eventually(has_answered, seconds=15)
        assert database.client is not client
    assert "replacing the client" in caplog.text


async def test_connections_from_the_time_of_an_election_are_not_kept(
    killable_mongod: ReplicaSet, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver never updates what the server was when the connection was made: here, neither primary nor
    secondary."""
    async with MongoDatabase(killable_mongod.url, f"test_{uuid4().hex[:12]}") as database:
        log = MongoCommitLog(database)
        assert await log.tip() == 0
        for server in database.client._topology._servers.values():
            for connection in server.pool.conns:
                connection.supports_sessions = False
        with pytest.raises(StoreUnavailable, match="accepted a connection while no primary was elected") as refused:
            await log.tip()
        assert "Sessions are not supported" not in refused.value.message
        assert await log.tip() == 0
    assert "replacing the client" in caplog.text


async def test_closing_does_not_wait_for_a_client_that_hangs(
    killable_mongod: ReplicaSet, caplog: pytest.LogCaptureFixture
) -> None:
    async with MongoDatabase(killable_mongod.url, "test", read_timeout=0.1) as database:
        with hung(database), suppress(StoreUnavailable):
            await MongoCommitLog(database).tip()
        began = time.monotonic()
    assert time.monotonic() - began < 8
    assert "did not close its connections" in caplog.text


def test_what_the_driver_logs_of_its_background_tasks_is_a_warning_without_a_stack_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def log_both() -> None:
        async with MongoDatabase("mongodb://127.0.0.1:1"):  # opening sends nothing
            for error in (AutoReconnect("127.0.0.1:1: connection pool paused"), KeyError("a bug")):
                try:
                    raise error
                except Exception:
                    _log_client_error()

    asyncio.run(log_both())
    expected, bug = (record for record in caplog.records if record.name == "pymongo.client")
    assert (expected.levelname, expected.exc_info) == ("WARNING", None)
    assert expected.getMessage().endswith("no longer needs: 127.0.0.1:1: connection pool paused")
    assert (bug.levelname, bug.exc_info is not None) == ("ERROR", True)
