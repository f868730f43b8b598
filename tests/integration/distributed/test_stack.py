"""`make stack`: the whole distributed system for a person to use, and to kill parts of."""

import os
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

from integration.distributed.system import Place
from local.process_tree import with_descendants
from running import Running, ticks

DEPLOY = Path(__file__).parents[3] / "deploy"


def settings_for(place: Place) -> dict[str, str]:
    """The session's servers in place of own ones, and nobody else's data on them."""
    return {
        "PYTHONPATH": f"{DEPLOY}:{os.environ.get('PYTHONPATH', '')}",
        "POSTLOG_TEST_MONGO_URL": place.mongo_url,
        "POSTLOG_TEST_KAFKA": place.kafka_bootstrap,
        "POSTLOG_TEST_POSTGRES_URL": place.postgres_url,
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": place.mongo_database,
        "POSTLOG__BUS__KAFKA__TOPIC": place.topic,
        "POSTLOG__BUS__KAFKA__GROUP_ID": place.topic,
        "POSTLOG__RELAY__LEASE_SECONDS": "2",
    }


def wait_for(stack: Running, words: str) -> None:
    for _ in ticks(120, f"{words!r} is not printed:\n{stack.printed}"):
        if words in stack.printed:
            return
        if stack.process.poll() is not None:
            break
    raise AssertionError(stack.printed)


def address(stack: Running, name: str) -> str:
    found = re.search(rf"^postlog {name}: (http://\S+)$", stack.printed, re.MULTILINE)
    assert found, stack.printed
    return found[1]


def kill(stack: Running, word: bytes) -> None:
    [victim] = [
        pid
        for pid in with_descendants(stack.process.pid)
        if word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]
    os.kill(victim, signal.SIGKILL)


def written_and_read(stack: Running) -> str:
    created = httpx.post(
        f"{address(stack, 'serve command')}/api/v1/posts", json={"author": "Ann", "message": "Hello"}, timeout=20
    ).json()
    newest = {"Postlog-Min-Position": str(created["position"])}
    for _ in ticks(30, "what was written is not read"):
        read = httpx.get(f"{address(stack, 'serve query')}/api/v1/posts/{created['id']}", headers=newest, timeout=20)
        if read.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    return str(read.json()["message"])


@pytest.mark.long
def test_it_prints_where_each_process_listens_and_starts_again_what_somebody_kills(tmp_path: Path, place: Place):
    with Running(tmp_path, "-m", "local.stack", env=settings_for(place), program=sys.executable) as stack:
        wait_for(stack, "stop with Ctrl-C")
        assert written_and_read(stack) == "Hello"
        kill(stack, b"relay")
        wait_for(stack, "postlog relay is ready again")
        assert written_and_read(stack) == "Hello"
        assert stack.signal(signal.SIGINT, deadline=40) == 0
