"""Every error of MongoDB makes the store unavailable, to be retried: it is never reported as a bug in Postlog, and
never taken for a result."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from pymongo.hello import Hello

from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from application.errors import SchemaOutdated, StoreUnavailable
from application.ports.event_store import Appended, Unsettled
from contracts.log_handle import proposed
from domain.ids import PostId
from integration.adapters.mongo.test_away import CALLS
from local.mongod import ReplicaSet

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

ODD = (9001, 10003, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436, 14031, 16755, 17276, 20, 46841, 51108)
"""Beyond the range: MongoDB's list ends near 400, and some codes are older than that list."""

SOME = (1, 13, 286, 11602)
SOME_CALLS = ("tip", "stream_tail", "store", "acquire")
COMMANDS = ["find", "insert", "update", "findAndModify", "aggregate", "listIndexes", "createIndexes", "getMore"]


@pytest.fixture
def administrator(killable_mongod: ReplicaSet) -> Iterator["pymongo.MongoClient[dict[str, Any]]"]:
    with pymongo.MongoClient[dict[str, Any]](killable_mongod.url, appname="administrator") as client:
        yield client


@contextmanager
def failing(administrator: "pymongo.MongoClient[dict[str, Any]]", **how: Any) -> Iterator[None]:
    """For every command of Postlog."""
    data = {"failCommands": COMMANDS, "appName": "postlog", **how}
    administrator.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    try:
        yield
    finally:
        administrator.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def ways(code: int) -> Iterable[dict[str, Any]]:
    if code != 330:  # with it the fail point of MongoDB 6.0.5 ends the server itself
        yield {"errorCode": code}
    for labels in ([], ["RetryableWriteError"]):
        yield {"writeConcernError": {"code": code, "errmsg": "as it comes"}, "errorLabels": labels}


async def outcome_of(database: MongoDatabase, name: str) -> str:
    """Empty when callers expect it."""
    try:
        if name == "append":
            [appended] = await MongoEventStore(database).append([proposed(_new_post(), name=uuid4().hex)])
            return "" if isinstance(appended, Appended | Unsettled) else f"{appended}"
        if name == "probe":
            return "" if (await MongoProbe(database).probe()).detail else "no sentence"
        await CALLS[name](database)
    except (StoreUnavailable, SchemaOutdated) as error:
        return "" if "event_store.mongo" in f"{error.path}" else error.message
    except Exception as error:
        return repr(error)
    return ""


def _new_post() -> PostId:
    return PostId(str(uuid4()))


async def unexpected(
    killable_mongod: ReplicaSet,
    administrator: "pymongo.MongoClient[dict[str, Any]]",
    codes: Iterable[int],
    calls: Iterable[str],
) -> list[str]:
    name = f"test_{uuid4().hex[:12]}"
    async with MongoDatabase(killable_mongod.url, name) as database:
        await MongoProvisioning(database).provision()
    found: list[str] = []
    url = f"{killable_mongod.url}&serverSelectionTimeoutMS=100"
    async with MongoDatabase(url, name, append_timeout=0.05, read_timeout=1.0) as database:
        for code in codes:
            for how in ways(code):
                with failing(administrator, **how):
                    told = {call: await outcome_of(database, call) for call in calls}
                found += [f"{how} {call}: {what}" for call, what in told.items() if what]
    administrator.drop_database(name)
    return found


async def test_errors_of_some_codes_make_the_store_unavailable(
    killable_mongod: ReplicaSet, administrator: "pymongo.MongoClient[dict[str, Any]]"
) -> None:
    assert await unexpected(killable_mongod, administrator, SOME, SOME_CALLS) == []


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_every_error_code_makes_the_store_unavailable(
    killable_mongod: ReplicaSet, administrator: "pymongo.MongoClient[dict[str, Any]]"
) -> None:
    codes = [*range(1, 401), *ODD]
    assert await unexpected(killable_mongod, administrator, codes, [*SOME_CALLS, "check", "append", "probe"]) == []


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_every_call_is_unavailable_on_an_error(
    killable_mongod: ReplicaSet, administrator: "pymongo.MongoClient[dict[str, Any]]"
) -> None:
    assert await unexpected(killable_mongod, administrator, SOME, CALLS) == []


async def test_a_reply_that_the_driver_can_not_process_makes_the_store_unavailable(killable_mongod: ReplicaSet) -> None:
    """Whatever the class of its exception."""

    async def stumble(_: object) -> None:
        Hello(None)  # type: ignore[arg-type]

    async def fail(_: object) -> None:
        raise KeyError("a fault of our own")

    async with MongoDatabase(killable_mongod.url) as database:
        with pytest.raises(StoreUnavailable, match=r"sent a reply that its driver does not understand: .*NoneType"):
            await database.execute(stumble)
        with pytest.raises(KeyError):
            await database.execute(fail)


@pytest.mark.parametrize("code", [2, 59, 133, 286, 9001])
async def test_an_error_is_reported_with_the_server_s_message(
    killable_mongod: ReplicaSet, administrator: "pymongo.MongoClient[dict[str, Any]]", code: int
) -> None:
    async with MongoDatabase(killable_mongod.url) as database:
        with failing(administrator, errorCode=code), pytest.raises(StoreUnavailable) as refused:
            await CALLS["tip"](database)
    assert "Failing command via 'failCommand' failpoint" in refused.value.message


async def test_a_connection_closed_without_a_reply_makes_the_store_unavailable(
    killable_mongod: ReplicaSet, administrator: "pymongo.MongoClient[dict[str, Any]]"
) -> None:
    async with MongoDatabase(killable_mongod.url) as database:
        with failing(administrator, closeConnection=True):
            told = {call: await outcome_of(database, call) for call in SOME_CALLS}
    assert not any(told.values()), told
