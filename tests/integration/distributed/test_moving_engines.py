"""The runbook for moving to another read database, as docs/operations.md has it: there and back, while people write and
read."""

import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from integration.distributed.evidence import commits_of
from integration.distributed.system import Place, System
from integration.distributed.writers import Acknowledged, writing

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def commands_under(heading: str) -> list[list[str]]:
    """Of the first block of shell commands below it, without `postlog`."""
    section = OPERATIONS.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    lines = [shlex.split(line, comments=True) for line in block.group(1).splitlines()]
    assert {words[0] for words in lines if words} == {"postlog"}
    return [words[1:] for words in lines if words]


ELSEWHERE = {
    "postgres": lambda _: {},
    "sqlserver": lambda request: {"POSTLOG__READ_DB__SQLSERVER__URL": request.getfixturevalue("fresh_sqlserver_url")},
}
"""Where the service moves to, and what has to be set for it beside the place's own settings."""


@pytest.mark.parametrize("engine", ELSEWHERE)
def test_a_running_service_moves_to_another_database_and_back_by_the_runbook(
    request: pytest.FixtureRequest, tmp_path: Path, place: Place, engine: str
):
    runbook = naming(engine, commands_under("Move to another database"))
    assert [words[0] for words in runbook] == ["init", "rebuild", "project", "audit"]
    settings = place.settings | {
        "POSTLOG__READ_DB__ADAPTER": "sqlite",
        "POSTLOG__READ_DB__SQLITE__PATH": str(tmp_path / "read.sqlite"),
    }
    settings |= ELSEWHERE[engine](request)
    with System(tmp_path, settings) as system:
        system.start_all(
            {
                "commands": ("serve", "command"),
                "queries": ("serve", "query"),
                "relay": ("relay",),
                "projector": ("project",),
            }
        )
        with writing(1, system.url("commands"), pause=0.2) as writers:
            writers.wait_for_more(25)
            with reading(system.url("queries")):
                follow(runbook, system, engine)
            system.start("queries elsewhere", "serve", "query", POSTLOG__READ_DB__ADAPTER=engine)
            system.wait_until_ready("queries elsewhere")
            system.kill("projector")
            writers.wait_for_more(20)
            with reading(system.url("queries elsewhere")):
                follow(naming("sqlite", commands_under("Move to another database")), system, "sqlite")
            acknowledged = writers.stop()

        position = len(commits_of(place))
        for name, adapter in (("queries", "sqlite"), ("queries elsewhere", engine)):
            system.wait_for_lag_0(name, position)
            assert system.get(name, "/api/v1/read-db").json()["adapter"] == adapter
            assert likes_at(system.url(name)) == likes_told(acknowledged)


def naming(engine: str, runbook: list[list[str]]) -> list[list[str]]:
    """The same for another database than PostgreSQL, as the runbook says."""
    return [[word.replace("postgres", engine) for word in words] for words in runbook]


def follow(runbook: list[list[str]], system: System, adapter: str) -> None:
    """Jobs to their end, with status 0; the service stays."""
    for words in runbook:
        if words[0] == "project":
            system.start(f"projector of {adapter}", *words)
            system.wait_until_ready(f"projector of {adapter}")
        else:
            done = system.run(*words, timeout=150)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@contextmanager
def reading(address: str) -> Iterator[None]:
    """Somebody reads all the time, and every answer is a good one."""
    stopping = threading.Event()
    good = 0
    others: list[str] = []

    def read() -> None:
        nonlocal good
        with httpx.Client(timeout=20) as client:
            while not stopping.is_set():
                answer = client.get(f"{address}/api/v1/posts", params={"limit": 20})
                if answer.status_code == httpx.codes.OK:
                    good += 1
                else:
                    others.append(answer.text)
                stopping.wait(0.1)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        stopping.set()
        reader.join(30)
    assert others == []
    assert good > 10


def likes_at(address: str) -> dict[str, int]:
    likes: dict[str, int] = {}
    cursor = None
    while True:
        parameters = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        page = httpx.get(f"{address}/api/v1/posts", params=parameters, timeout=20).json()
        likes |= {post["postId"]: post["likes"] for post in page["posts"]}
        cursor = page["nextCursor"]
        if cursor is None:
            return likes


def likes_told(acknowledged: list[Acknowledged]) -> dict[str, int]:
    likes = {each.post_id: 0 for each in acknowledged}
    for each in acknowledged:
        likes[each.post_id] += each.event == "PostLiked"
    return likes
