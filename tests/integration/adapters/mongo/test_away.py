"""MongoDB is down, comes back, refuses the login, or is not a replica set."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.errors import masked
from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from adapters.mongo.relay_state import MongoRelayState
from adapters.mongo.snapshots import MongoSnapshots
from application.envelopes import StreamTail
from application.errors import StoreUnavailable
from application.ports.event_store import Appended, Snapshot, Unsettled
from application.ports.relay_state import Lease
from contracts.log_handle import POST_A, proposed
from contracts.waiting import eventually
from domain.errors import InvalidInput
from local.mongod import ReplicaSet
from local.ports import free_port
from local.processes import ServerProcess
from local.programs import find_mongod

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

LEASE = Lease(owner="one", token=1, position=0, ttl_seconds=1.0)
SNAPSHOT = Snapshot(stream_id=POST_A, version=1, position=1, format="1", state=b"")

CALLS: dict[str, Callable[[MongoDatabase], Awaitable[object]]] = {
    "read_stream": lambda database: MongoEventStore(database).read_stream(POST_A),
    "stream_tail": lambda database: MongoEventStore(database).stream_tail(POST_A),
    "find_commit": lambda database: MongoEventStore(database).find_commit("x"),
    "past_events": lambda database: MongoPastEvents(database).read_stream(POST_A),
    "log_id": lambda database: MongoCommitLog(database).log_id(),
    "tip": lambda database: MongoCommitLog(database).tip(),
    "read": lambda database: MongoCommitLog(database).read(0),
    "load": lambda database: MongoSnapshots(database).load(POST_A),
    "store": lambda database: MongoSnapshots(database).store(SNAPSHOT),
    "acquire": lambda database: MongoRelayState(database).acquire("one", 1.0),
    "renew": lambda database: MongoRelayState(database).renew(LEASE),
    "advance": lambda database: MongoRelayState(database).advance(LEASE, 1),
    "release": lambda database: MongoRelayState(database).release(LEASE),
    "state": lambda database: MongoRelayState(database).state(),
    "provision": lambda database: MongoProvisioning(database).provision(),
    "check": lambda database: MongoProvisioning(database).check(),
}


@pytest.fixture
def unused_address() -> str:
    return f"mongodb://ann:s3cret@127.0.0.1:{free_port()}/?replicaSet=rs0&serverSelectionTimeoutMS=100"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_every_call_to_a_server_that_is_down_raises_one_clear_error(
    call: Callable[[MongoDatabase], Awaitable[object]], unused_address: str
) -> None:
    async with MongoDatabase(unused_address) as database:
        with pytest.raises(StoreUnavailable) as refused:
            await call(database)
    address = unused_address.partition("?")[0].replace("s3cret", "***")
    host = address.rpartition("@")[2].removesuffix("/")
    assert refused.value.message.startswith(
        f"The event store, MongoDB at {address} (event_store.mongo.url), has no primary that answers: {host}: "
    )
    assert refused.value.message.endswith(". Start it, or check the address.")
    assert refused.value.path == "event_store.mongo.url"


async def test_an_append_to_a_server_that_is_down_is_unsettled_after_its_time_limit(unused_address: str) -> None:
    async with MongoDatabase(unused_address, append_timeout=0.5) as database:
        started = time.monotonic()
        [outcome] = await MongoEventStore(database).append([proposed(POST_A)])
        assert 0.4 <= time.monotonic() - started < 5
    assert isinstance(outcome, Unsettled)
    assert "event_store.mongo.url" in outcome.reason
    assert "s3cret" not in outcome.reason


async def test_a_wait_on_a_server_that_is_down_ends_early_and_reading_raises_why(unused_address: str) -> None:
    async with MongoDatabase(unused_address) as database, asyncio.timeout(10):
        await MongoCommitLog(database).wait(after=0, timeout=60)


async def test_what_was_opened_before_the_server_started_works_once_it_runs(killable_mongod: ReplicaSet) -> None:
    killable_mongod.kill(0)
    name = f"test_{uuid4().hex[:12]}"
    async with MongoDatabase(f"{killable_mongod.url}&serverSelectionTimeoutMS=100", name) as database:
        store, probe = MongoEventStore(database), MongoProbe(database)
        assert not (await probe.probe()).ok
        with pytest.raises(StoreUnavailable):
            await store.stream_tail(POST_A)
        await asyncio.to_thread(killable_mongod.restart, 0)
        await asyncio.to_thread(killable_mongod.wait_for_primary)
        await eventually(lambda: provisioned(database))
        assert await store.append([proposed(POST_A)]) == [Appended(1)]
        assert await store.stream_tail(POST_A) == StreamTail(1, 1)
        assert (await probe.probe()).ok


async def provisioned(database: MongoDatabase) -> bool:
    try:
        await MongoProvisioning(database).provision()
    except StoreUnavailable:
        return False
    return True


async def test_a_server_that_hangs_is_unavailable_after_the_read_timeout(killable_mongod: ReplicaSet) -> None:
    async with MongoDatabase(killable_mongod.url, read_timeout=0.3) as database:
        await database.client.admin.command("ping")
        killable_mongod.freeze(0)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await MongoCommitLog(database).tip()
        probed = await MongoProbe(database).probe()
        assert time.monotonic() - started < 6
        killable_mongod.thaw(0)
    assert (probed.name, probed.ok) == ("event_store", False)


async def test_a_refused_login_is_reported_with_the_password_masked(mongo_with_logins_url: str) -> None:
    host = mongo_with_logins_url.rpartition("@")[2]
    async with MongoDatabase(f"mongodb://ann:p%40ss/word@{host}".replace("/word", "%2Fword")) as database:
        with pytest.raises(StoreUnavailable) as refused:
            await MongoCommitLog(database).tip()
    assert "mongodb://ann:***@127.0.0.1:" in refused.value.message
    assert "refused the login; check the user and the password in the address" in refused.value.message
    assert "word" not in refused.value.message.replace("password", "")


@pytest.fixture
def lone_mongod(killable_mongod: ReplicaSet, tmp_path: Path) -> Iterator[str]:
    """A server of its own, by the program that `killable_mongod` has found."""
    mongod = find_mongod()
    assert mongod is not None
    port = free_port()
    command: list[str | Path] = [
        mongod,
        "--dbpath",
        tmp_path,
        "--port",
        str(port),
        "--bind_ip",
        "127.0.0.1",
        "--nounixsocket",
    ]
    process = ServerProcess("lone mongod", command, log=tmp_path / "mongod.log")
    process.start()
    yield f"mongodb://127.0.0.1:{port}/"
    process.kill()


async def test_a_server_that_is_not_a_replica_set_is_refused_with_the_remedy(lone_mongod: str) -> None:
    async with MongoDatabase(f"{lone_mongod}?serverSelectionTimeoutMS=20000", append_timeout=0.5) as database:
        with pytest.raises(StoreUnavailable, match="must be a replica set but is a server of its own") as refused:
            await MongoProvisioning(database).provision()
        assert "start it with `mongod --replSet rs0` and run `rs.initiate()` once" in refused.value.message
        with pytest.raises(StoreUnavailable, match="must be a replica set"):
            await MongoProvisioning(database).check()
        assert not (await MongoProbe(database).probe()).ok
        [outcome] = await MongoEventStore(database).append([proposed(POST_A)])
        assert isinstance(outcome, Unsettled)
        assert outcome.reason == refused.value.message
        assert await database.commits.count_documents({}) == 0


@pytest.mark.parametrize(
    "url", ["mongo://nowhere", "mongodb://", "mongodb://ann:s3:cret@host:port/", "mongodb://ann:s3/cret@host/"]
)
async def test_a_malformed_address_is_refused_at_once_without_quoting_it(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        async with MongoDatabase(url):
            pass
    assert refused.value.path == "event_store.mongo.url"
    assert refused.value.message == (
        "event_store.mongo.url is not a MongoDB address; it has the form mongodb://login:password@host:port/"
        "?replicaSet=name, with %-escapes for special characters in login and password."
    )
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://ann:s3cret@a:1,b:2/?replicaSet=rs0&tlsCertificateKeyFilePassword=x", "mongodb://ann:***@a:1,b:2/"),
        ("mongodb+srv://ann:p@ss/wo:rd?@host/", "mongodb+srv://ann:***@host/"),
        ("mongodb://ann@host/", "mongodb://ann@host/"),
        ("mongodb://a:1/?replicaSet=rs0", "mongodb://a:1/"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert masked(url) == shown
