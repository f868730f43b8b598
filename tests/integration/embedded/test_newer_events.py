"""An event of a newer schema version: its post waits and reports it everywhere, nothing is skipped or guessed, and
newer code goes on with it by itself.
"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from application.envelopes import ProposedCommit, StoredEvent
from application.ports.event_store import Appended
from domain.ids import PostId
from newer_code import newer_code
from running import embedded, postlog, ticks

NEWER = StoredEvent("PostLiked", 3, {"username": "Bob", "mood": "good"})


def append_newer(data: Path, post_id: str) -> int:
    """Appends the event as a later version in another process would; returns its position."""

    async def append() -> int:
        commit = ProposedCommit(
            stream_id=PostId(post_id),
            version=2,
            commit_id="019b0000-0000-7000-8000-0000000000ff",
            recorded_at=datetime(2026, 11, 23, tzinfo=UTC),
            metadata={"actor": "Bob"},
            events=(NEWER,),
        )
        async with SqliteLog(data / "log.sqlite") as log:
            [outcome] = await SqliteEventStore(log).append([commit])
        assert isinstance(outcome, Appended)
        return outcome.position

    return asyncio.run(append())


def create(posts: str) -> dict[str, Any]:
    answer = httpx.post(posts, json={"author": "Ann", "message": "Hello"})
    assert answer.status_code == 201
    return answer.json()  # type: ignore[no-any-return]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def waiting(tmp_path: Path) -> Any:
    """A service with a parked post: its data, its addresses, the post's id and the newer event's position."""
    data = tmp_path / "data"
    with embedded(data) as (running, address):
        posts = f"{address}/api/v1/posts"
        post_id = create(posts)["id"]
        position = append_newer(data, post_id)
        for _ in ticks(20, running.printed):
            if httpx.get(f"{address}/api/v1/read-db").json()["parked"] == 1:
                break
        yield data, posts, post_id, position


def test_over_http_the_post_waits_visibly_and_others_flow(waiting: Any) -> None:
    _, posts, post_id, position = waiting
    post, read_db = f"{posts}/{post_id}", posts.replace("/posts", "/read-db")
    at_least = {"Postlog-Min-Position": str(position)}

    for _ in range(2):
        refused = httpx.post(f"{post}/likes", json={"username": "Eve"}, headers={"Idempotency-Key": "once"})
        assert problem(refused) == (503, "event-not-readable")
    assert refused.json()["detail"] == (
        f"Event 2 of post {post_id} (PostLiked, schema version 3): this version of Postlog reads up to schema version "
        "2; run a newer one."
    )
    assert problem(httpx.put(f"{post}/message", json={"message": "x", "username": "Ann"})) == (
        503,
        "event-not-readable",
    )
    assert problem(httpx.delete(post, params={"username": "Ann"})) == (503, "event-not-readable")
    assert problem(httpx.get(post, params={"version": 2})) == (503, "event-not-readable")
    assert problem(httpx.get(post, headers=at_least)) == (503, "post-parked")

    older = httpx.get(post)
    assert (older.status_code, older.json()["version"], older.json()["likes"]) == (200, 1, 0)
    assert httpx.get(post, params={"version": 1}).json()["message"] == "Hello"
    assert httpx.get(posts).headers["Postlog-Parked"] == "1"
    [_, newer] = httpx.get(f"{post}/events").json()["events"]
    assert {key: newer[key] for key in ("type", "schemaVersion", "storedType", "storedSchemaVersion", "data")} == {
        "type": "PostLiked",
        "schemaVersion": 3,
        "storedType": "PostLiked",
        "storedSchemaVersion": 3,
        "data": {"username": "Bob", "mood": "good"},
    }
    assert httpx.get(read_db).json()["parked"] == 1

    other = create(posts)
    found = httpx.get(f"{posts}/{other['id']}", headers={"Postlog-Min-Position": str(other["position"])})
    assert (found.status_code, found.json()["version"]) == (200, 1)


def test_every_verb_of_the_command_line_names_it(waiting: Any) -> None:
    data, _, post_id, position = waiting
    env = {"POSTLOG_DATA": str(data)}

    def printed(*arguments: str, status: int) -> str:
        done = postlog(*arguments, env=env)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    for listed in (printed("parked", "list", "--json", status=1), printed("parked", "retry", "--json", status=1)):
        [parked] = [json.loads(line) for line in listed.splitlines()]
        assert (parked["postId"], parked["version"], parked["position"]) == (post_id, 2, position)
        assert parked["code"] == "event-not-readable"
        assert "run a newer one" in parked["reason"]
    checked = printed("events", "check", "--json", status=1)
    [place] = [each for each in map(json.loads, checked.splitlines()) if "reason" in each]
    assert (place["postId"], place["position"], place["schemaVersion"]) == (post_id, position, 3)
    assert '"mood": "good"' in printed("events", "show", post_id, status=0)
    for _ in ticks(30, "the doctor finds no parked post"):
        doctor = postlog("doctor", env=env)
        if doctor.returncode == 1:
            break
    assert "parked" in doctor.stdout
    audit = json.loads(printed("audit", "--json", status=0).splitlines()[-1])
    assert audit["parked"] == [post_id]
    printed("rebuild", "--json", status=1)
    assert post_id in printed("parked", "list", status=1)


def test_newer_code_resumes_at_its_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with embedded(data) as (running, address):
        post_id = create(f"{address}/api/v1/posts")["id"]
        position = append_newer(data, post_id)
        for _ in ticks(20, running.printed):
            if httpx.get(f"{address}/api/v1/read-db").json()["parked"] == 1:
                break

    with embedded(data, **newer_code(tmp_path)) as (newer, address):
        post = f"{address}/api/v1/posts/{post_id}"
        found = httpx.get(post, headers={"Postlog-Min-Position": str(position)})
        for _ in ticks(20, newer.printed):
            found = httpx.get(post, headers={"Postlog-Min-Position": str(position)})
            if found.status_code == 200:
                break
        assert (found.json()["version"], found.json()["likes"]) == (2, 1)
        assert httpx.get(post.rpartition("/")[0]).headers.get("Postlog-Parked") is None
        assert httpx.post(f"{post}/likes", json={"username": "Bob"}).json()["version"] == 2, "he likes it already"
        assert httpx.post(f"{post}/likes", json={"username": "Eve"}).json()["version"] == 3
