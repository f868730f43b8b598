"""Rebuilds of a running service: from the shell, and over HTTP in a process that ends with the service, however that
ends."""

import fcntl
import json
import logging
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrypoints.cli import main
from running import Running, embedded, postlog, ticks

Here = Callable[..., tuple[int, str, str]]

REBUILDS = "/api/v1/read-db/rebuilds"
POSTS = 2_500
"""Enough for a rebuild to be met half-way, one transaction per commit."""
SLOW = {"POSTLOG__REBUILD__BATCH_EVENTS": "1"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 2,500 commits, and rows at its end."""
    folder = tmp_path_factory.mktemp("filled")
    posts = folder / "posts.ndjson"
    lines = [
        {"externalId": f"{n}", "author": "Ann", "message": f"{n}", "datePosted": "2020-01-02T03:04:05Z", "likes": 0}
        for n in range(POSTS)
    ]
    posts.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    data = folder / "data"
    imported = postlog("import", str(posts), env={"POSTLOG_DATA": str(data)})
    assert imported.returncode == 0, imported.stderr
    with embedded(data) as (running, address):
        for _ in ticks(60, running.printed):
            if httpx.get(f"{address}/api/v1/read-db", timeout=30).json()["lag"] == 0:
                break
        assert running.signal(signal.SIGTERM) == 0
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(filled, tmp_path / "data")


def rebuild_at(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=20)
    assert answer.status_code == httpx.codes.OK, answer.text
    rebuild: dict[str, Any] = answer.json()
    return rebuild


def until_it_moves(url: str) -> dict[str, Any]:
    for _ in ticks(30, "the rebuild does not move"):
        if (rebuild := rebuild_at(url))["position"] > 0:
            return rebuild
    raise AssertionError


def until(url: str, state: str) -> dict[str, Any]:
    for _ in ticks(60, f"the rebuild is not {state}"):
        if (rebuild := rebuild_at(url))["state"] == state:
            return rebuild
    raise AssertionError


def rebuilding(running: Running) -> int:
    """The one process that the service has started, beside the tracker of Python's multiprocessing."""
    children = Path(f"/proc/{running.process.pid}/task").glob("*/children")
    pids = [int(pid) for of_thread in children for pid in of_thread.read_text().split()]
    (pid,) = (pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return pid


@contextmanager
def halted(running: Running) -> Iterator[None]:
    """Its rebuild is paused, with the locks that it holds."""
    child = rebuilding(running)
    os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child, signal.SIGCONT)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def here(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Here]:
    """Runs a verb in this process, which has imported everything: a new process starts slowly on a busy machine."""
    monkeypatch.setenv("POSTLOG_DATA", str(data))
    monkeypatch.setenv("POSTLOG__REBUILD__NICENESS", "0")  # otherwise the tests after it would run at lower priority
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main.run(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_every_query_process_shows_the_rebuild_that_one_of_them_started(data: Path):
    with (
        embedded(data, **SLOW) as (running, address),
        Running(data, "serve", "query", env={"POSTLOG_DATA": str(data), "PORT": "0"}) as another,
    ):
        elsewhere = another.address()
        begun = httpx.post(f"{address}{REBUILDS}", timeout=30)
        until_it_moves(f"{address}{begun.headers['location']}")
        with halted(running):
            second = httpx.post(f"{elsewhere}{REBUILDS}", json={"adapter": "sqlite"}, timeout=30)
            seen = rebuild_at(f"{elsewhere}{begun.headers['location']}")
        done = until(f"{elsewhere}{begun.headers['location']}", "swapped")
        status = httpx.get(f"{address}/api/v1/read-db", timeout=30).json()

    assert (begun.status_code, begun.headers["location"]) == (202, f"{REBUILDS}/sqlite-2")
    assert (second.status_code, second.headers["location"]) == (409, f"{REBUILDS}/sqlite-2")
    assert (seen["state"], seen["target"]) == ("running", POSTS)
    assert seen["eventsPerSecond"] > 0
    assert seen["secondsLeft"] > 0
    assert (done["position"], done["error"]) == (POSTS, None)
    assert (status["generation"], status["lag"]) == (2, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_rebuild_ends_with_its_service_and_is_resumed_by_the_next(data: Path, here: Here, number: signal.Signals):
    with embedded(data, **SLOW) as (running, address):
        location = httpx.post(f"{address}{REBUILDS}", timeout=30).headers["location"]
        until_it_moves(f"{address}{location}")
        child = rebuilding(running)
        running.signal(number)
        for _ in ticks(10, "the rebuild outlives its service"):
            if not is_there(child):
                break
    status, found, _ = here("doctor")
    with embedded(data) as (_, address):
        failed = rebuild_at(f"{address}{location}")
        again = httpx.post(f"{address}{REBUILDS}", timeout=30)
        done = until(f"{address}{location}", "swapped")

    assert status == 1
    assert "problem  rebuild: Generation 2 in slot b" in found
    assert "`postlog rebuild --drop`" in found
    assert (failed["state"], failed["secondsLeft"]) == ("failed", None)
    assert 0 < failed["position"] < POSTS
    assert f"to resume from position {failed['position']:,}" in failed["error"]
    assert (again.status_code, again.json()["id"]) == (202, "sqlite-2")
    assert done["position"] == POSTS
    assert here("audit")[0] == 0


def test_a_killed_rebuild_has_failed_and_a_cancelled_one_allows_another(data: Path):
    away = {"POSTLOG__READ_DB__POSTGRES__URL": "postgresql+psycopg://ann:s3cr3t@127.0.0.1:1/x"}
    with embedded(data, **SLOW, **away) as (running, address):
        killed = httpx.post(f"{address}{REBUILDS}", timeout=30).headers["location"]
        until_it_moves(f"{address}{killed}")
        os.kill(rebuilding(running), signal.SIGKILL)
        failed = until(f"{address}{killed}", "failed")
        given_up = httpx.delete(f"{address}{killed}")
        cancelled = httpx.post(f"{address}{REBUILDS}", timeout=30).headers["location"]
        until_it_moves(f"{address}{cancelled}")
        while_it_ran = httpx.delete(f"{address}{cancelled}")
        next_one = httpx.post(f"{address}{REBUILDS}", timeout=30)
        until_it_moves(f"{address}{next_one.headers['location']}")
        status = httpx.get(f"{address}/api/v1/read-db", timeout=30).json()
        refused = httpx.post(f"{address}{REBUILDS}", json={"adapter": "postgres"}, timeout=60)
        not_named = httpx.post(f"{address}{REBUILDS}", json={"adapter": "sqlserver"}, timeout=60)
        assert "s3cr3t" not in running.printed

    assert failed["error"].startswith("Its process ended before it was done.")
    assert (given_up.status_code, given_up.json()["state"]) == (200, "cancelled")
    assert (while_it_ran.status_code, while_it_ran.json()["state"]) == (200, "cancelled")
    assert (next_one.status_code, next_one.headers["location"]) == (202, f"{REBUILDS}/sqlite-4")
    assert (status["generation"], status["lag"]) == (1, 0)
    assert (refused.status_code, refused.json()["code"]) == (503, "read-db-unavailable")
    assert "read_db.postgres.url" in refused.json()["detail"]
    assert (not_named.status_code, not_named.json()["code"]) == (409, "rebuild-not-possible")
    assert "1433" not in not_named.text
    assert "s3cr3t" not in refused.text


def test_a_killed_rebuild_blocks_no_other_and_a_running_one_does_with_its_progress(data: Path, here: Here):
    with Running(data.parent, "rebuild", env={"POSTLOG_DATA": str(data)} | SLOW) as first:
        for _ in ticks(60, first.printed):
            if position_of(data, generation=2) > 0:
                break
        first.kill()
    stopped = position_of(data, generation=2)
    orphaned = here("doctor")
    with (data / "read.sqlite.rebuild-lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        refused = here("rebuild")
        running = here("doctor")
    resumed = here("rebuild", "--json")
    finished = here("doctor")

    assert 0 < stopped < POSTS
    left = f"problem  rebuild: Generation 2 in slot b was left unfinished at position {stopped:,} of {POSTS:,}; "
    assert left in orphaned[1]
    assert "ok       rebuild: A rebuild is running: generation 2 at position" in running[1]
    assert re.search(
        r"is running: generation 2 at position [\d,]+ of 2,500, [\d,]+ events a second, [\d,]+ s left\. ", refused[2]
    )
    assert "ok       rebuild: No rebuild is unfinished." in finished[1]
    assert [status for status, *_ in (orphaned, refused, running, resumed, finished)] == [1, 2, 0, 0, 0]
    done = json.loads(resumed[1])
    assert (done["generation"], done["position"], done["events"]) == (2, POSTS, POSTS - stopped)


def position_of(data: Path, *, generation: int) -> int:
    """0 for a rebuild that has not started."""
    with closing(sqlite3.connect(data / "read.sqlite")) as connection:
        row = connection.execute("SELECT position FROM generations WHERE generation = ?", (generation,)).fetchone()
    return row[0] if row else 0
