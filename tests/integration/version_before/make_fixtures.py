"""`PYTHONPATH=tests:deploy .venv/bin/python -m integration.version_before.make_fixtures FOLDER`: write the history with
this version of Postlog, and copy what it stored to `FOLDER/embedded` and `FOLDER/distributed`.

The rows are copied before the second part of the history, and the queries are answered after it.
"""

import gzip
import json
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pymongo
from bson import Int64

from integration.distributed.system import Place, System, new_place
from integration.version_before import copies
from integration.version_before.recording import (
    IMPORTED,
    NOON,
    NOON_TEXT,
    SETTINGS,
    RawCommit,
    Recorder,
    Recording,
    asked,
    first_part,
    from_the_future,
    old_versions,
    queries_of,
    second_part,
)
from local.find import Servers
from running import Running, embedded, postlog, ticks


def main(folder: Path) -> None:
    for name, make in (("embedded", make_embedded), ("distributed", make_distributed)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as scratch:
            make(Path(scratch), folder / name)


def make_embedded(scratch: Path, folder: Path) -> None:
    recording, data = Recording(), scratch / "data"
    env = {"POSTLOG_DATA": str(data), "PORT": "0"} | SETTINGS
    with embedded(data, **SETTINGS) as (running, address):
        post, parked = first_part(Recorder(recording, address))
        running.signal(signal.SIGINT, deadline=30)
    import_a_post(scratch, recording, env)
    recording.position = insert_into_sqlite(data / "log.sqlite", [*old_versions(), from_the_future(parked[1:], 2)])
    with embedded(data, **SETTINGS) as (running, address):
        wait_for_rows(address, recording.position)
        recording.rows_position = recording.position
        running.signal(signal.SIGINT, deadline=30)
    with Running(scratch, "serve", "command", env=env) as running:
        second_part(Recorder(recording, running.address()), post)
        running.signal(signal.SIGINT, deadline=30)
    for name in ("log.sqlite", "read.sqlite"):
        assert not (data / f"{name}-wal").exists()
        (folder / f"{name}.gz").write_bytes(gzip.compress((data / name).read_bytes(), mtime=0))
    with sqlite3.connect(data / "log.sqlite") as log:
        streams = dict(log.execute("SELECT stream_id, max(last_version) FROM commits GROUP BY stream_id").fetchall())
    with embedded(data, **SETTINGS) as (_, address):
        wait_for_rows(address, recording.position)
        finish(recording, address, streams, parked[1:])
    recording.save(folder / "recording.ndjson")


def make_distributed(scratch: Path, folder: Path) -> None:
    recording = Recording()
    with (
        Servers() as servers,
        new_place(servers.mongo_url(), servers.kafka_bootstrap(), servers.postgres_url()) as place,
        System(scratch, place.settings | SETTINGS | {"POSTLOG__RELAY__WATERMARK_SECONDS": "20"}) as system,
    ):
        services = {"commands": ("serve", "command"), "queries": ("serve", "query")}
        system.start_all(services | {"relay": ("relay",), "projector": ("project",)})
        post, parked = first_part(Recorder(recording, system.url("commands")))
        import_a_post(scratch, recording, system.settings)
        recording.position = insert_into_mongo(place, [*old_versions(), from_the_future(parked[1:], 2)])
        wait_for_rows(system.url("queries"), recording.position)
        recording.rows_position = recording.position
        system["projector"].signal(signal.SIGTERM, deadline=30)
        second_part(Recorder(recording, system.url("commands")), post)
        wait_until_published(system)
        for name in ("commands", "relay", "queries"):
            system[name].signal(signal.SIGTERM, deadline=30)
        copies.write_log(place.mongo_url, place.mongo_database, folder / "log.ndjson")
        copies.write_topic(place.kafka_bootstrap, place.topic, folder / "topic.ndjson")
        copies.write_rows(place.psycopg_url, folder / "rows.sql")
        for name in ("queries", "projector"):
            system.again(name)
        system.wait_until_ready("queries", "projector")
        wait_for_rows(system.url("queries"), recording.position)
        streams = Counter[str]()
        for commit in commits_of(place):
            streams[commit["streamId"]] += len(commit.get("types", commit["events"]))
        finish(recording, system.url("queries"), streams, parked[1:])
    recording.save(folder / "recording.ndjson")


def finish(recording: Recording, address: str, streams: dict[str, int], parked: str) -> None:
    recording.parked = parked
    recording.queries = [asked(address, path) for path in queries_of(streams)]


def import_a_post(scratch: Path, recording: Recording, env: dict[str, str]) -> None:
    file = scratch / "posts.ndjson"
    file.write_text(json.dumps(IMPORTED) + "\n", encoding="utf-8")
    imported = postlog("import", str(file), env=env)
    assert imported.returncode == 0, imported.stderr


def insert_into_sqlite(path: Path, commits: list[RawCommit]) -> int:
    """The position of the last one."""
    with sqlite3.connect(path) as log:
        last_position = int(log.execute("SELECT max(position) FROM commits").fetchone()[0])
        for position, commit in enumerate(commits, start=last_position + 1):
            last = commit.version + len(commit.events) - 1
            numbers = (position, commit.stream_id, commit.version, last, commit.commit_id)
            events = json.dumps(commit.events, ensure_ascii=False, separators=(",", ":"))
            log.execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, '{}', ?)", (*numbers, NOON_TEXT, events))
    log.close()
    return last_position + len(commits)


def insert_into_mongo(place: Place, commits: list[RawCommit]) -> int:
    """The position of the last one."""
    last_position = len(commits_of(place))
    with pymongo.MongoClient[dict[str, Any]](place.mongo_url, timeoutMS=20_000) as client:
        majority = pymongo.WriteConcern("majority")
        target = client.get_database(place.mongo_database, write_concern=majority).commits
        for position, commit in enumerate(commits, start=last_position + 1):
            ids = {"_id": Int64(position), "streamId": commit.stream_id, "version": Int64(commit.version)}
            stored = {"commitId": commit.commit_id, "recordedAt": NOON, "metadata": {}, "events": list(commit.events)}
            target.insert_one(ids | stored)
        # As a writer leaves it that lost a position three times running.
        claim = {"_id": "a-writer:4711:0123abcd", "need": 0.004, "until": datetime.now(UTC)}
        client[place.mongo_database].writers.insert_one(claim)
    return last_position + len(commits)


def commits_of(place: Place) -> list[dict[str, Any]]:
    with pymongo.MongoClient[dict[str, Any]](place.mongo_url, timeoutMS=20_000) as client:
        return list(client[place.mongo_database].commits.find().sort("_id"))


def wait_for_rows(address: str, position: int) -> None:
    wait_until(lambda: httpx.get(f"{address}/api/v1/read-db", timeout=20).json().get("position") == position)


def wait_until_published(system: System) -> None:
    wait_until(lambda: "postlog_relay_lag 0.0" in system.get("relay", "/metrics").text)


def wait_until(done: Callable[[], bool]) -> None:
    for _ in ticks(40, "it took too long"):
        if done():
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
