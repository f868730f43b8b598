"""A log in which positions are missing: the service reports where, in one sentence, waits there, and resumes by itself
when the gap is filled; or the log is cut at the gap."""

import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from running import Running, embedded, postlog, ticks

SENTENCE = "The log has no commit at positions 3 to 5, but one at 6"
Rows = Sequence[tuple[Any, ...]]


def create(address: str, message: str) -> httpx.Response:
    return httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": message}, timeout=20)


def messages(address: str) -> list[str]:
    """[] while the rows are being filled again."""
    answer = httpx.get(f"{address}/api/v1/posts", timeout=20)
    return sorted(post["message"] for post in answer.json()["posts"]) if answer.is_success else []


def readiness(address: str) -> tuple[int, str]:
    answer = httpx.get(f"{address}/health/ready", timeout=20)
    details = {check["name"]: check["detail"] for check in answer.json()["checks"]}
    return answer.status_code, details["positions"]


def filled_and_holed(folder: Path) -> Rows:
    """Six posts, three of which are removed from the log; the rows are deleted, so that they must be filled again."""
    with embedded(folder) as (running, address):
        for number in range(1, 7):
            assert create(address, f"post {number}").json()["position"] == number
        running.signal(signal.SIGTERM)
    return holed(folder)


def holed(folder: Path) -> Rows:
    for file in folder.glob("read*.sqlite*"):
        file.unlink()
    with closing(sqlite3.connect(folder / "log.sqlite")) as connection, connection:
        [trigger] = connection.execute("SELECT sql FROM sqlite_master WHERE name LIKE '%never_deleted'").fetchone()
        rows = connection.execute("SELECT * FROM commits WHERE position BETWEEN 3 AND 5").fetchall()
        connection.execute("DROP TRIGGER commits_are_never_deleted")
        connection.execute("DELETE FROM commits WHERE position BETWEEN 3 AND 5")
        connection.execute(trigger)
    return rows


def put_back(folder: Path, rows: Rows) -> None:
    with closing(sqlite3.connect(folder / "log.sqlite")) as connection, connection:
        connection.executemany("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def assert_waits(running: Running, address: str) -> None:
    for _ in ticks(30, f"it does not say that it waits:\n{running.printed}"):
        if "projecting stopped" in running.printed:
            break
    status, detail = readiness(address)
    assert status == httpx.codes.SERVICE_UNAVAILABLE
    assert SENTENCE in detail
    refused = create(address, "behind the gap")
    assert (refused.status_code, refused.json()["code"]) == (503, "log-damaged")
    assert SENTENCE in refused.json()["detail"]
    assert "Traceback" not in running.printed


@pytest.mark.long
def test_a_service_waits_at_a_gap_and_resumes_when_it_is_filled(tmp_path: Path):
    rows = filled_and_holed(tmp_path)
    env = {"POSTLOG_DATA": str(tmp_path)}
    with embedded(tmp_path) as (running, address):
        assert_waits(running, address)
        for verb in ("doctor", "rebuild", "audit", "events check"):
            done = postlog(*verb.split(), env=env)
            assert done.returncode == 2, done.stdout + done.stderr
            assert SENTENCE in done.stdout + done.stderr
            assert "Traceback" not in done.stderr
        put_back(tmp_path, rows)
        for _ in ticks(30, "it is not ready again"):
            if readiness(address)[0] == httpx.codes.OK:
                break
        assert create(address, "post 7").json()["position"] == 7
        for _ in ticks(30, "the rows are not up to date"):
            if messages(address) == [f"post {number}" for number in range(1, 8)]:
                break
        running.signal(signal.SIGTERM)
    for verb in ("audit", "events check"):
        assert postlog(*verb.split(), env=env).returncode == 0


def test_the_log_is_cut_at_a_gap_and_the_service_resumes(tmp_path: Path):
    filled_and_holed(tmp_path)
    env = {"POSTLOG_DATA": str(tmp_path)}
    file = tmp_path / "removed.ndjson"
    shown = postlog("events", "cut", env=env)
    assert (shown.returncode, SENTENCE in shown.stdout) == (1, True)
    done = postlog("events", "cut", "--behind", "2", "--save", str(file), env=env)
    assert done.returncode == 0, done.stderr
    assert "post 6" in file.read_text(encoding="utf-8")
    with embedded(tmp_path) as (running, address):
        assert create(address, "another post 3").json()["position"] == 3
        for _ in ticks(30, "the rows are not up to date"):
            if messages(address) == ["another post 3", "post 1", "post 2"]:
                break
        assert readiness(address)[0] == httpx.codes.OK
        assert postlog("doctor", env=env).returncode == 0
        running.signal(signal.SIGTERM)
    for verb in ("audit", "events check"):
        assert postlog(*verb.split(), env=env).returncode == 0
