"""Clients read from and write to a service while it is rebuilt: no request fails, no response is older than asked for
or a mix of old and new rows; and afterwards every row matches the log.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from running import embedded, postlog, ticks

REBUILDS = "/api/v1/read-db/rebuilds"
LIKES = 1_000
POSTS_A_PAGE = 100

Engine = Callable[[pytest.FixtureRequest], dict[str, str]]
ENGINES: dict[str, Engine] = {
    "sqlite": lambda _: {},
    "postgres": lambda request: {
        "POSTLOG__READ_DB__ADAPTER": "postgres",
        "POSTLOG__READ_DB__POSTGRES__URL": request.getfixturevalue("fresh_postgres_url"),
    },
    "sqlserver": lambda request: {
        "POSTLOG__READ_DB__ADAPTER": "sqlserver",
        "POSTLOG__READ_DB__SQLSERVER__URL": request.getfixturevalue("fresh_sqlserver_url"),
        # Servers that only implement its protocol take a fifth of a second to prepare each statement.
        "POSTLOG__HTTP__MIN_POSITION_WAIT_SECONDS": "25",
    },
}


@dataclass
class Hot:
    """A post that receives comments all the time: at version n it has n - 1 comments. `position` and `version` are of
    the newest comment that was acknowledged."""

    post_id: str
    position: int
    version: int


@dataclass
class Crowd:
    """Threads that write and read until they are stopped. Every violation is recorded in `wrong`."""

    address: str
    hot: Hot
    imported: dict[str, int]
    stopping: threading.Event = field(default_factory=threading.Event)
    written: int = 0
    answers: int = 0
    wrong: list[str] = field(default_factory=list)

    def write(self, client: httpx.Client) -> None:
        path = f"/api/v1/posts/{self.hot.post_id}/comments"
        answer = client.post(path, json={"username": "Bob", "comment": f"comment {self.written}"})
        self.require(answer, 201)
        if answer.is_success:
            told = answer.json()
            self.hot.version, self.hot.position = told["version"], told["position"]
            self.written += 1

    def write_another(self, client: httpx.Client) -> None:
        """A post that is never changed again: if it were lost, nothing would restore it."""
        self.require(client.post("/api/v1/posts", json={"author": "Cid", "message": "One of many"}), 201)

    def read_hot(self, client: httpx.Client) -> None:
        version, position = self.hot.version, self.hot.position
        path = f"/api/v1/posts/{self.hot.post_id}"
        answer = client.get(path, headers={"Postlog-Min-Position": str(position)})
        if not self.require(answer, 200):
            return
        post = answer.json()
        whole = post["commentsCount"] == post["version"] - 1 and len(post["comments"]) == min(100, post["version"] - 1)
        if not whole or post["version"] < min(version, self.hot.version):
            self.wrong.append(f"asked for version {version}: {post['version']} with {post['commentsCount']} comments")

    def read_list(self, client: httpx.Client) -> None:
        answer = client.get("/api/v1/posts", params={"author": "importer", "limit": POSTS_A_PAGE})
        if self.require(answer, 200):
            likes = {post["postId"]: post["likes"] for post in answer.json()["posts"]}
            if likes != self.imported:
                self.wrong.append(f"{len(likes)} posts with {sum(likes.values())} likes on the first page")

    def require(self, answer: httpx.Response, status: int) -> bool:
        self.answers += 1
        if answer.status_code != status:
            self.wrong.append(f"{answer.status_code} {answer.text}")
        return answer.status_code == status

    @contextmanager
    def at_work(self) -> Iterator[None]:
        jobs = (self.write, self.write_another, self.write_another, self.read_hot, self.read_list)
        threads = [threading.Thread(target=self._repeat, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join(60)

    def _repeat(self, job: Callable[[httpx.Client], None]) -> None:
        with httpx.Client(base_url=self.address, timeout=30) as client:
            try:
                while not self.stopping.is_set() and len(self.wrong) < 5:
                    job(client)
            except httpx.TransportError as error:
                self.wrong.append(repr(error))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("posts", "rebuilds", "batch"),
    [
        pytest.param(8, 2, 250, id="8_008_events"),
        pytest.param(105, 2, 2_000, id="105_105_events", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_clients_do_not_notice_a_rebuild(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, posts: int, rebuilds: int, batch: int
) -> None:
    env = {"POSTLOG_DATA": str(tmp_path / "data"), "POSTLOG__REBUILD__BATCH_EVENTS": str(batch)}
    env |= ENGINES[engine](request)
    fill(tmp_path, env, posts)
    if engine != "sqlite":
        assert postlog("init", env=env).returncode == 0
    with embedded(tmp_path / "data", **env) as (running, address):
        hot = a_hot_post(address)
        for _ in ticks(120, running.printed):
            if httpx.get(f"{address}/api/v1/read-db", timeout=20).json()["lag"] == 0:
                break
        page = httpx.get(f"{address}/api/v1/posts", params={"author": "importer", "limit": POSTS_A_PAGE}).json()
        imported = {post["postId"]: post["likes"] for post in page["posts"]}
        crowd = Crowd(address, hot, imported)
        done: list[dict[str, Any]] = []
        with crowd.at_work():
            for _ in range(rebuilds):
                before = crowd.written, crowd.answers
                done.append(rebuilt(address))
                for _ in ticks(60, "nobody gets an answer any more"):
                    if crowd.wrong or (crowd.written > before[0] + 2 and crowd.answers > before[1] + 10):
                        break
        status = httpx.get(f"{address}/api/v1/read-db", timeout=20)
        assert status.is_success, status.text
        generation = status.json()["generation"]
        audited = postlog("audit", env=env, timeout=120)

    assert crowd.wrong == []
    assert len(imported) == min(posts, POSTS_A_PAGE)
    assert set(imported.values()) == {LIKES}
    assert [rebuild["state"] for rebuild in done] == ["swapped"] * rebuilds
    assert generation == rebuilds + 1
    assert audited.returncode == 0, audited.stdout
    assert "no differences" in audited.stdout


def fill(folder: Path, env: dict[str, str], posts: int) -> None:
    """A log with 1,001 events per post."""
    file = folder / "posts.ndjson"
    lines = [
        {
            "externalId": f"{n}",
            "author": "Importer",
            "message": f"Imported {n} żółć ß 🙂",
            "datePosted": f"2020-01-{n % 28 + 1:02d}T10:00:00Z",
            "likes": LIKES,
        }
        for n in range(posts)
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    imported = postlog("import", str(file), env=env, timeout=300)
    assert imported.returncode == 0, imported.stderr


def a_hot_post(address: str) -> Hot:
    body = {"author": "Ann", "message": "Hot"}
    told = httpx.post(f"{address}/api/v1/posts", json=body, timeout=20).json()
    return Hot(told["id"], told["position"], told["version"])


def rebuilt(address: str) -> dict[str, Any]:
    begun = httpx.post(f"{address}{REBUILDS}", timeout=60)
    assert begun.status_code == httpx.codes.ACCEPTED, begun.text
    for _ in ticks(300, "the rebuild does not end"):
        rebuild: dict[str, Any] = httpx.get(f"{address}{begun.headers['location']}", timeout=30).json()
        if rebuild["state"] != "running":
            return rebuild
    raise AssertionError
