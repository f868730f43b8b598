"""A read database that belongs to another log, or to this one before it was restored to an older state, is refused with
one sentence; `postlog rebuild` mends it."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pymongo
import pytest

from integration.distributed.evidence import Commit, rows_of
from integration.distributed.system import Place, System, delete_topic
from local.databases import fresh_mongo_database
from running import ticks


def write_posts(system: System, *messages: str) -> int:
    """The position of the last."""
    for message in messages:
        answer = httpx.post(
            f"{system.url('commands')}/api/v1/posts", json={"author": "Ann", "message": message}, timeout=20
        )
        assert answer.status_code == httpx.codes.CREATED, answer.text
    return int(answer.json()["position"])


@contextmanager
def filled(folder: Path, place: Place, *messages: str, bus: str = "log") -> Iterator[System]:
    """A command side and a query side that run, a projector that has brought these posts into the rows and stopped."""
    with System(folder, place.settings | {"POSTLOG__BUS__ADAPTER": bus}) as system:
        services = {"commands": ("serve", "command"), "queries": ("serve", "query"), "projector": ("project",)}
        if bus == "kafka":
            services["relay"] = ("relay",)
        system.start_all(services)
        system.wait_for_lag_0("queries", write_posts(system, *messages))
        system.kill("projector")
        yield system


def assert_refused(system: System, *sentences: str, **env: str) -> None:
    """By `project` and by `doctor`, with the same sentence, and by no other line."""
    with ThreadPoolExecutor() as side_by_side:
        project = side_by_side.submit(system.run, "project", POSTLOG__WORKER__PORT="0", **env)
        doctor = side_by_side.submit(system.run, "doctor", **env)
    projector, examined = project.result(), doctor.result()
    last = projector.stderr.splitlines()[-1]
    assert (projector.returncode, examined.returncode) == (2, 2), projector.stderr + examined.stdout
    for sentence in sentences:
        assert sentence in last
        assert sentence in examined.stdout
    assert "Traceback" not in projector.stderr + examined.stderr


@pytest.mark.long
def test_a_read_database_of_another_log_is_refused_with_and_without_a_bus(tmp_path: Path, place: Place):
    with filled(tmp_path, place, "Hello") as system, fresh_mongo_database(place.mongo_url) as another:
        rows = rows_of(place)
        for bus in ("log", "kafka"):
            other = {"POSTLOG__EVENT_STORE__MONGO__DATABASE": another.name, "POSTLOG__BUS__ADAPTER": bus}
            system.init(**other)
            assert_refused(system, "was filled from log", "`postlog rebuild`", **other)
        assert rows_of(place) == rows


def backup_of(place: Place) -> dict[str, list[Commit]]:
    with pymongo.MongoClient[Commit](place.mongo_url, timeoutMS=20_000) as client:
        database = client[place.mongo_database]
        return {name: list(database[name].find()) for name in ("commits", "relay", "snapshots")}


def restore(place: Place, backup: dict[str, list[Commit]]) -> None:
    with pymongo.MongoClient[Commit](place.mongo_url, timeoutMS=20_000) as client:
        for name, documents in copy.deepcopy(backup).items():
            collection = client[place.mongo_database][name]
            collection.delete_many({})
            if documents:
                collection.insert_many(documents)


@pytest.mark.long
def test_a_log_restored_to_an_older_state_is_refused_and_a_rebuild_mends_it(tmp_path: Path, place: Place):
    with filled(tmp_path, place, "one", "two") as system:
        backup = backup_of(place)
        system.again("projector")
        system.wait_for_lag_0("queries", write_posts(system, "three", "four"))
        system.kill("projector")
        system.kill("commands")

        restore(place, backup)
        assert_refused(system, "the log was restored to an older state", "`postlog rebuild`")

        system.again("commands").address()
        assert write_posts(system, "another three", "another four", "another five") == 5
        assert_refused(system, "the log was restored to an older state", "`postlog rebuild`")

        rebuilt = system.run("rebuild")
        assert rebuilt.returncode == 0, rebuilt.stderr
        system.again("projector")
        for _ in ticks(20, "doctor is not content"):
            if system.run("doctor").returncode == 0:
                break
        assert system.run("audit").returncode == 0
        messages = {message for message, *_ in rows_of(place).values()}
        assert messages == {"one", "two", "another three", "another four", "another five"}


@pytest.mark.long
def test_a_topic_that_carries_another_past_than_the_restored_log_is_refused_until_it_is_made_anew(
    tmp_path: Path, place: Place
):
    with filled(tmp_path, place, "one", "two", bus="kafka") as system:
        backup = backup_of(place)
        published = write_posts(system, "three", "four")
        wait_until_published(system, published)
        system.kill("relay")
        system.kill("commands")
        restore(place, backup)
        system.again("commands").address()
        write_posts(system, "another three", "another four", "another five")

        refused = system.run("project", POSTLOG__WORKER__PORT="0")
        assert refused.returncode == 2, refused.stderr
        assert "Delete the topic and run `postlog init`" in refused.stderr.splitlines()[-1]

        delete_topic(place.kafka_bootstrap, place.topic)
        for _ in ticks(20, "the topic is not recreated"):
            if system.run("init").returncode == 0:
                break
        system.again("relay")
        system.again("projector")
        system.wait_for_lag_0("queries", 5)
        messages = {message for message, *_ in rows_of(place).values()}
        assert messages == {"one", "two", "another three", "another four", "another five"}
        assert system.run("audit").returncode == 0


def wait_until_published(system: System, position: int) -> None:
    for _ in ticks(20, f"the relay has not published position {position}"):
        if f"postlog_relay_position {float(position)}" in system.get("relay", "/metrics").text:
            return
