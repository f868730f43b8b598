"""A post of which the log lacks a version: it alone stops, and restoring its commit repairs it."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from running import embedded, postlog, ticks

NOT_THERE = "019b0000-0000-7000-8000-00000000000c"
SENTENCE = "version 2 is missing before position 4"


def change(folder: Path, statement: str, *values: object) -> None:
    """As an operator would with a SQLite shell while the service is stopped."""
    with closing(sqlite3.connect(folder / "log.sqlite")) as connection, connection:
        wanted = "SELECT sql FROM sqlite_master WHERE name LIKE '%never_changed'"
        [trigger] = connection.execute(wanted).fetchone()
        connection.execute("DROP TRIGGER commits_are_never_changed")
        connection.execute(statement, values)
        connection.execute(trigger)


def like(address: str, post: str, username: str) -> httpx.Response:
    return httpx.post(f"{address}/api/v1/posts/{post}/likes", json={"username": username}, timeout=20)


@pytest.mark.long
def test_a_post_that_lacks_a_version_stops_alone_and_restoring_its_commit_repairs_it(tmp_path: Path):
    env = {"POSTLOG_DATA": str(tmp_path)}
    with embedded(tmp_path) as (running, address):
        posts = []
        for author in ("Ann", "Bob"):
            answer = httpx.post(f"{address}/api/v1/posts", json={"author": author, "message": "Hello"}, timeout=20)
            posts.append(answer.json()["id"])
        damaged, other = posts
        for username in ("Cid", "Dan"):
            assert like(address, damaged, username).is_success
        running.signal(signal.SIGTERM)
    # Position 3 belongs to a post that does not exist: no position is missing, but version 2 of this post is.
    change(tmp_path, "UPDATE commits SET stream_id = ? WHERE position = 3", NOT_THERE)

    rebuilt = postlog("rebuild", env=env)
    assert rebuilt.returncode == 1, rebuilt.stderr
    assert "2 posts are parked" in rebuilt.stderr
    with embedded(tmp_path) as (running, address):
        refused = like(address, damaged, "Eve")
        assert (refused.status_code, refused.json()["code"]) == (503, "stream-damaged")
        assert SENTENCE in refused.json()["detail"]
        assert like(address, other, "Eve").json()["version"] == 2
        as_of = httpx.get(f"{address}/api/v1/posts/{damaged}?version=2", timeout=20)
        assert (as_of.status_code, as_of.json().get("code")) == (503, "stream-damaged"), as_of.text
        for _ in ticks(30, "the rows are not up to date"):
            if httpx.get(f"{address}/api/v1/posts/{other}", timeout=20).json()["likes"] == 1:
                break
        for verb in ("parked list", "doctor", "audit", "events check"):
            said = postlog(*verb.split(), env=env)
            assert (said.returncode, SENTENCE in said.stdout) == (1, True), said.stdout + said.stderr
        assert "Traceback" not in running.printed
        running.signal(signal.SIGTERM)

    change(tmp_path, "UPDATE commits SET stream_id = ? WHERE position = 3", damaged)
    with embedded(tmp_path) as (
        running,
        address,
    ):  # a projector retries parked posts at its start, as `parked retry` does
        assert like(address, damaged, "Eve").json()["version"] == 4
        for _ in ticks(30, "the post is not healed"):
            answer = httpx.get(f"{address}/api/v1/posts/{damaged}", timeout=20)
            if answer.is_success and answer.json()["likes"] == 3:
                break
        for verb in ("parked retry", "doctor", "audit", "events check"):
            said = postlog(*verb.split(), env=env)
            assert said.returncode == 0, said.stdout + said.stderr
        running.signal(signal.SIGTERM)
