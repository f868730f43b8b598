"""kill -9 in the middle: what was acknowledged is there once, the rows catch up by themselves, an import goes on."""

import json
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from running import Running, embedded, postlog, ticks

LIKES = [(n * 37) % 260 for n in range(120)]


@pytest.fixture
def posts_file(tmp_path: Path) -> Path:
    lines = [
        json.dumps(
            {
                "externalId": f"post-{n}",
                "author": f"author {n % 7}",
                "message": f"Message {n} with ünïcode 🙂",
                "datePosted": f"2020-01-{n % 28 + 1:02d}T10:00:{n % 60:02d}Z",
                "likes": likes,
            }
        )
        for n, likes in enumerate(LIKES)
    ]
    file = tmp_path / "posts.ndjson"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def log_of(data: Path) -> list[tuple[int, str, int, int]]:
    """Position, stream, first and last version of every commit, as the file holds them."""
    with sqlite3.connect(data / "log.sqlite") as connection:
        rows = connection.execute("SELECT position, stream_id, version, last_version FROM commits ORDER BY position")
        return rows.fetchall()


def assert_dense(commits: list[tuple[int, str, int, int]]) -> None:
    assert [position for position, *_ in commits] == list(range(1, len(commits) + 1))
    ends: Counter[str] = Counter()
    for _, stream, version, last_version in commits:
        assert version == ends[stream] + 1
        ends[stream] = last_version


def likes_in(address: str) -> Counter[int]:
    likes: Counter[int] = Counter()
    cursor: str | None = None
    while True:
        page = httpx.get(
            f"{address}/api/v1/posts", params={"limit": 100} | ({"cursor": cursor} if cursor else {})
        ).json()
        likes.update(post["likes"] for post in page["posts"])
        cursor = page["nextCursor"]
        if cursor is None:
            return likes


@pytest.mark.parametrize("commits_before_the_kill", [3, 40])
def test_a_killed_import_is_resumed_to_the_same_end(tmp_path: Path, posts_file: Path, commits_before_the_kill: int):
    data = tmp_path / "data"
    with Running(tmp_path, "import", str(posts_file), env={"POSTLOG_DATA": str(data)}) as importing:
        for _ in ticks(20, importing.printed):
            if importing.process.poll() is not None or commits_in(data) >= commits_before_the_kill:
                break
        importing.kill()
    assert_dense(log_of(data))

    again = postlog("import", str(posts_file), env={"POSTLOG_DATA": str(data)})
    once_more = postlog("import", str(posts_file), "--json", env={"POSTLOG_DATA": str(data)})

    assert again.returncode == once_more.returncode == 0, again.stderr + once_more.stderr
    commits = log_of(data)
    assert_dense(commits)
    assert sum(last - first + 1 for _, _, first, last in commits) == sum(LIKES) + len(LIKES)
    with embedded(data) as (running, address):
        for _ in ticks(20, running.printed):
            if httpx.get(f"{address}/api/v1/read-db").json()["lag"] == 0:
                break
        assert likes_in(address) == Counter(LIKES)


def commits_in(data: Path) -> int:
    try:
        return len(log_of(data))
    except sqlite3.OperationalError:
        return 0


def test_every_acknowledged_command_survives_a_kill_once(tmp_path: Path):
    data = tmp_path / "data"
    acknowledged: dict[str, int] = {}
    with embedded(data) as (running, address):
        clients = [threading.Thread(target=create_until_it_dies, args=(address, n, acknowledged)) for n in range(8)]
        for client in clients:
            client.start()
        for _ in ticks(20, running.printed):
            if len(acknowledged) >= 60:
                break
        running.kill()
        for client in clients:
            client.join()

    commits = log_of(data)
    assert_dense(commits)
    stored = {stream: position for position, stream, *_ in commits}
    assert acknowledged.items() <= stored.items()
    with embedded(data) as (_, address):
        newest = {"Postlog-Min-Position": str(len(commits))}
        for post_id in acknowledged:
            found = httpx.get(f"{address}/api/v1/posts/{post_id}", headers=newest)
            assert (found.status_code, found.json()["version"]) == (200, 1)


def create_until_it_dies(address: str, client_number: int, acknowledged: dict[str, int]) -> None:
    with httpx.Client(base_url=address) as client:
        for n in range(10_000):
            try:
                answer = client.post(
                    "/api/v1/posts", json={"author": f"client {client_number}", "message": f"message {n}"}
                )
            except httpx.TransportError:
                return
            assert answer.status_code == httpx.codes.CREATED, answer.text
            acknowledged[answer.json()["id"]] = answer.json()["position"]
