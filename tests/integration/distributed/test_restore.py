"""Back up and restore, step by step as docs/operations.md says it, with what `mongodump` and `mongorestore` do; and a
log with a gap, as the processes of a distributed system meet it."""

import signal
from pathlib import Path

import httpx
import pymongo
import pytest

from integration.adapters.mongo.dumps import drop_database, mongodump, mongorestore
from integration.distributed.evidence import Commit, rows_of
from integration.distributed.system import Place, System, delete_topic
from integration.distributed.test_wrong_log import assert_refused, wait_until_published, write_posts
from local.databases import MongoDatabase
from running import ticks

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "projector": ("project",),
}
SENTENCE = "The log has no commit at positions 3 to 5, but one at 6"


def log_of(place: Place) -> MongoDatabase:
    return MongoDatabase(url=place.mongo_url, name=place.mongo_database)


def wait_until_sound(system: System) -> None:
    for _ in ticks(40, "the doctor is not content"):
        if (examined := system.run("doctor")).returncode == 0:
            return
        print(examined.stdout)


@pytest.mark.long
def test_a_backup_is_restored_in_the_order_of_the_handbook(tmp_path: Path, place: Place):
    with System(tmp_path, place.settings) as system:
        system.start_all(SERVICES)
        write_posts(system, "one", "two")
        dump = mongodump(log_of(place))
        last = write_posts(system, "three", "four")
        wait_until_published(system, last)
        system.wait_for_lag_0("queries", last)

        # 1. Stop what writes first, then relays and projectors.
        for name in ("commands", "relay", "projector"):
            assert system[name].signal(signal.SIGTERM, deadline=30) == 0
        # 2. Drop the database, restore into the empty one.
        drop_database(log_of(place))
        assert mongorestore(log_of(place), dump) == 0
        # 3. `postlog init` finds everything there; `postlog doctor` says what the rows have seen.
        assert system.run("init").stdout.startswith("Everything exists already; nothing was changed.\n")
        assert_refused(system, "the log was restored to an older state", "`postlog rebuild`")
        # 4. Delete the topic, and make it anew.
        delete_topic(place.kafka_bootstrap, place.topic)
        for _ in ticks(30, "the topic is not recreated"):
            if system.run("init").returncode == 0:
                break
        # 5. The rows anew.
        rebuilt = system.run("rebuild")
        assert rebuilt.returncode == 0, rebuilt.stderr
        # 6. Start everything.
        for name in ("commands", "relay", "projector"):
            system.again(name)
        system.wait_until_ready("commands", "relay", "projector", "queries")
        assert write_posts(system, "another three") == 3
        system.wait_for_lag_0("queries", 3)
        wait_until_sound(system)
        assert {message for message, *_ in rows_of(place).values()} == {"one", "two", "another three"}
        for verb in (("audit",), ("events", "check")):
            assert system.run(*verb).returncode == 0
        # What a client sees that has read a position of before.
        lost = system.get("queries", "/api/v1/posts", **{"Postlog-Min-Position": str(last)})
        assert (lost.status_code, lost.json()["code"]) == (409, "position-beyond-log")


@pytest.mark.long
def test_every_process_waits_at_a_gap_and_goes_on_when_it_is_filled(tmp_path: Path, place: Place):
    with System(tmp_path, place.settings) as system:
        system.start_all({"commands": SERVICES["commands"]})
        system.start("queries", *SERVICES["queries"])
        write_posts(system, *[f"post {number}" for number in range(1, 7)])
        system["commands"].signal(signal.SIGTERM, deadline=30)
        with pymongo.MongoClient[Commit](place.mongo_url, timeoutMS=20_000) as client:
            commits = client[place.mongo_database].commits
            missing = list(commits.find({"_id": {"$in": [3, 4, 5]}}))
            commits.delete_many({"_id": {"$in": [3, 4, 5]}})

            system.again("commands").address()
            for name in ("relay", "projector"):
                system.start(name, *SERVICES[name]).address()
            for name in ("commands", "relay", "projector"):
                for _ in ticks(30, f"{name} does not say where the gap is"):
                    answer = system.get(name, "/health/ready")
                    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and SENTENCE in answer.text:
                        break
            refused = httpx.post(
                f"{system.url('commands')}/api/v1/posts", json={"author": "Ann", "message": "No"}, timeout=20
            )
            assert (refused.status_code, refused.json()["code"]) == (503, "log-damaged")
            for verb in (("doctor",), ("audit",), ("events", "check"), ("rebuild",), ("rebuild", "--workers", "2")):
                done = system.run(*verb)
                assert done.returncode == 2, done.stdout + done.stderr
                assert SENTENCE in done.stdout + done.stderr

            commits.insert_many(missing)
        system.wait_until_ready("commands", "relay", "projector")
        assert write_posts(system, "post 7") == 7
        system.wait_for_lag_0("queries", 7)
        assert "Traceback" not in system.printed()
        assert system.run("rebuild").returncode == 0  # goes on with the one that stopped at the gap
        wait_until_sound(system)
