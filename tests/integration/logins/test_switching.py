"""`read_db.adapter` is one word; with it changed and the service restarted, answers come from the other database, and
they are the same answers."""

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from contracts.read_db_handle import TEXTS
from domain.names import hidden_character
from integration.logins.places import postgres_place, sqlserver_place
from running import POSTLOG, Running, postlog, ticks

pytestmark = pytest.mark.timeout(300)

DRIVERS = {"postgres": "psycopg", "sqlserver": "pyodbc"}
_IMPORTED = re.compile(r"^import time:.*\| +(psycopg|pyodbc|pymongo|confluent_kafka)$", re.MULTILINE)


@pytest.fixture(params=["postgres", "sqlserver"])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def addresses(adapter: str, request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """Of a service's login and an administrator, as variables; nothing of the first is there at first."""
    admin_url = request.getfixturevalue(f"{adapter}_url")
    with _place(adapter, admin_url) as service_url:
        yield {
            f"POSTLOG__READ_DB__{adapter.upper()}__URL": service_url,
            f"POSTLOG_ADMIN__{adapter.upper()}_URL": admin_url,
        }


@contextmanager
def _place(adapter: str, admin_url: str) -> Iterator[str]:
    if adapter == "postgres":
        with postgres_place(admin_url) as place, place.another_login():
            yield place.service_url
    else:
        with sqlserver_place(admin_url) as there:
            yield there.service_url


@contextmanager
def running(folder: Path, settings: Mapping[str, str]) -> Iterator[tuple[Running, str]]:
    """The whole service in one process, its log in a file; and its address."""
    env = {"POSTLOG_DATA": str(folder), "PORT": "0", **settings}
    with Running(folder, "run", env=env, program=POSTLOG) as process:  # a fork would have loaded every driver
        yield process, process.address(60)
        assert process.signal(signal.SIGTERM, deadline=30) == 0


def test_one_word_and_a_restart_answer_from_the_other_database_and_back(
    tmp_path: Path, adapter: str, addresses: Mapping[str, str]
) -> None:
    with running(tmp_path, addresses) as (_, address):
        last = [_post(address, text[:2_000]) for text in TEXTS.values()][-1]
        before = _answers(address, last, "sqlite")

    other = {**addresses, "POSTLOG__READ_DB__ADAPTER": adapter, "POSTLOG_DATA": str(tmp_path)}
    made = postlog("init", env=other, timeout=120)
    assert made.returncode == 0, made.stdout + made.stderr
    with running(tmp_path, {**other, "PYTHONPROFILEIMPORTTIME": "1"}) as (process, address):
        assert _answers(address, last, adapter) == before
        last = _post(address, "written to the other one")
        after = _answers(address, last, adapter)
        assert _drivers_of(process) == {DRIVERS[adapter]}

    with running(tmp_path, addresses) as (_, address):
        assert _answers(address, last, "sqlite") == after
    assert len(after) == len(before) + 1


def _name_in(text: str) -> str:
    """As much of a text as a new name may hold."""
    kept = [character for character in text[:60] if hidden_character(character) is None]
    return "".join(kept)[:50].strip()


def _post(address: str, text: str) -> int:
    """With a comment and a like, all of the text; the position that they lead to."""
    with httpx.Client(base_url=f"{address}/api/v1", timeout=30) as client:
        created = client.post("/posts", json={"author": _name_in(text), "message": text})
        assert created.status_code == httpx.codes.CREATED, created.text
        post = f"/posts/{created.json()['id']}"
        client.post(f"{post}/likes", json={"username": "Bob"}).raise_for_status()
        commented = client.post(f"{post}/comments", json={"username": "Straße", "comment": text})
        assert commented.status_code == httpx.codes.CREATED, commented.text
        return int(commented.json()["position"])


def _answers(address: str, position: int, adapter: str) -> list[bytes]:
    """To a page of posts, and to each of them with its comments; at this position at the earliest."""
    newest = {"Postlog-Min-Position": str(position)}
    with httpx.Client(base_url=f"{address}/api/v1", timeout=30, headers=newest) as client:
        for _ in ticks(60, "The rows do not get there."):
            page = client.get("/posts", params={"limit": 100})
            if page.status_code == httpx.codes.OK:
                break
        assert client.get("/read-db").json()["adapter"] == adapter
        return [page.content, *(client.get(f"/posts/{post['postId']}").content for post in page.json()["posts"])]


def _drivers_of(process: Running) -> set[str]:
    return set(_IMPORTED.findall(process.printed))
