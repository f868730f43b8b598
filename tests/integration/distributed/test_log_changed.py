"""MongoDB is restored, dropped or put back underneath command processes: over HTTP, as clients and operators see it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pymongo
import pytest
from pymongo.database import Database

from integration.distributed.system import System
from local.databases import MongoDatabase, fresh_mongo_database
from local.mongod import ReplicaSet
from running import ticks

Documents = list[dict[str, Any]]
Restore = Callable[[Database[dict[str, Any]], Documents], None]


@contextmanager
def two_command_processes(folder: Path, place: MongoDatabase) -> Iterator[System]:
    settings = {
        "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
        "POSTLOG__EVENT_STORE__MONGO__URL": place.url,
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": place.name,
        "POSTLOG__BUS__ADAPTER": "log",
        "POSTLOG__READ_DB__ADAPTER": "sqlite",
        "POSTLOG__READ_DB__SQLITE__PATH": str(folder / "rows.sqlite"),
    }
    with System(folder, settings) as system:
        system.start_all({"one": ("serve", "command"), "two": ("serve", "command")})
        yield system


def send(system: System, process: str, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return httpx.post(f"{system.url(process)}/api/v1{path}", json=body, headers=headers, timeout=30)


def create(system: System, process: str, key: str | None = None) -> httpx.Response:
    return send(system, process, "/posts", {"author": "Ann", "message": "Hello"}, key)


def like(system: System, process: str, post: str) -> httpx.Response:
    return send(system, process, f"/posts/{post}/likes", {"username": uuid4().hex})


def assert_refused(answer: httpx.Response) -> None:
    """By the process that found out, or because readiness has already seen the gap that its refused insert left."""
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    problem = answer.json()
    assert problem["code"] in ("log-changed", "log-damaged"), answer.text
    if problem["code"] == "log-changed":
        assert "Stop the processes that write, check the log" in problem["detail"]


def written(system: System, posts: int) -> list[str]:
    """Their ids; by both processes in turn, each with a like of the same process."""
    made = []
    for number in range(posts):
        answer = create(system, ("one", "two")[number % 2])
        assert answer.status_code == httpx.codes.CREATED, answer.text
        made.append(answer.json()["id"])
        assert like(system, ("one", "two")[number % 2], made[-1]).is_success
    return made


def delete_and_insert(database: Database[dict[str, Any]], backup: Documents) -> None:
    database["commits"].delete_many({})
    database["commits"].insert_many(backup)


def restore_with_drop(database: Database[dict[str, Any]], backup: Documents) -> None:
    """As `mongorestore --drop`: the indexes come last."""
    database["commits"].drop()
    database["commits"].insert_many(backup)
    database["commits"].create_index([("streamId", 1), ("version", 1)], unique=True, name="stream_version")
    database["commits"].create_index("commitId", unique=True, name="commit_id")


def drop_database(database: Database[dict[str, Any]], _: Documents) -> None:
    database.client.drop_database(database.name)


def restore_under(folder: Path, place: MongoDatabase, restore: Restore) -> None:
    """Nothing is acknowledged, both say why, and processes that are started again on the log go on."""
    with two_command_processes(folder, place) as system, pymongo.MongoClient[dict[str, Any]](place.url) as client:
        database = client[place.name]
        old = written(system, 3)
        backup = list(database["commits"].find(sort=[("_id", 1)]))
        written(system, 25)
        assert database["commits"].count_documents({}) == 56

        restore(database, backup)
        before = [document["_id"] for document in database["commits"].find({}, {"_id": 1})]
        for process in ("one", "two"):
            for answer in (like(system, process, old[0]), create(system, process), create(system, process, "a-key")):
                assert_refused(answer)
            ready = system.get(process, "/health/ready")
            assert ready.status_code == httpx.codes.SERVICE_UNAVAILABLE
            [check] = [check for check in ready.json()["checks"] if check["name"] == "event_store"]
            assert "is not the one that this process has built on" in check["detail"]
            assert system[process].printed.count("is not the one that this process has built on") >= 1

        for process in ("one", "two"):
            system.kill(process)
        database["commits"].delete_many({"_id": {"$gt": len(before)}})  # what nobody was acknowledged
        assert database["commits"].count_documents({}) == len(before)
        system.init()
        for process in ("one", "two"):
            system.again(process).address()
        answers = [create(system, "one"), create(system, "two", "a-key"), create(system, "one", "a-key")]
        assert [answer.status_code for answer in answers] == [201, 201, 201]
        positions = [answer.json()["position"] for answer in answers]
        assert positions == [len(before) + 1, len(before) + 2, len(before) + 2]


@pytest.mark.long
def test_a_log_that_is_restored_by_delete_and_insert_takes_no_commands(
    tmp_path: Path, fresh_mongo_database: MongoDatabase
):
    restore_under(tmp_path, fresh_mongo_database, delete_and_insert)


@pytest.mark.long
@pytest.mark.parametrize("restore", [restore_with_drop, drop_database])
def test_a_log_that_is_replaced_takes_no_commands(
    tmp_path: Path, fresh_mongo_database: MongoDatabase, restore: Restore
):
    restore_under(tmp_path, fresh_mongo_database, restore)


@pytest.mark.long
def test_no_key_has_two_effects_when_the_collection_is_dropped(tmp_path: Path, fresh_mongo_database: MongoDatabase):
    place = fresh_mongo_database
    with two_command_processes(tmp_path, place) as system, pymongo.MongoClient[dict[str, Any]](place.url) as client:
        written(system, 4)
        client[place.name]["commits"].drop()
        sent = [(process, f"key-{number}") for number in range(10) for process in ("one", "two")]
        with ThreadPoolExecutor(8) as side_by_side:
            answers = list(side_by_side.map(lambda each: create(system, *each), sent))
        for answer in answers:
            assert_refused(answer)
        assert client[place.name]["commits"].count_documents({}) == 0


@pytest.mark.long
def test_a_data_directory_that_is_put_back_takes_no_commands(tmp_path: Path, killable_mongod: ReplicaSet):
    """The server answers again with an older state, the same collection and the same indexes."""
    with (
        fresh_mongo_database(killable_mongod.url) as place,
        two_command_processes(tmp_path, place) as system,
    ):
        old = written(system, 3)
        killable_mongod.kill(0)
        killable_mongod.copy_data(0, tmp_path / "snapshot")
        killable_mongod.restart(0)
        killable_mongod.wait_for_primary()
        for _ in ticks(30, "no commands are taken"):
            if create(system, "one").is_success and create(system, "two").is_success:
                break
        written(system, 5)
        killable_mongod.kill(0)
        killable_mongod.put_data_back(0, tmp_path / "snapshot")
        killable_mongod.restart(0)
        killable_mongod.wait_for_primary()
        for process in ("one", "two"):
            for _ in ticks(60, f"{process} does not say that the log changed"):
                answer = like(system, process, old[0])
                assert not answer.is_success, answer.text
                if answer.json()["code"] in ("log-changed", "log-damaged"):
                    break
            assert_refused(create(system, process))
            assert system.get(process, "/health/ready").status_code == httpx.codes.SERVICE_UNAVAILABLE
