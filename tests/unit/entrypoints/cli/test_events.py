"""`postlog events show` and `postlog events check`."""

import asyncio
import json
import multiprocessing
import signal
import sqlite3
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from application.envelopes import ProposedCommit
from application.errors import StoreUnavailable
from application.maintenance.events_check import PositionRange
from domain.ids import PostId
from entrypoints.cli import main
from entrypoints.composition.worker_process import WorkerProcess, checking
from entrypoints.settings.loading import load_settings
from old_shapes import COMMENTED, CREATED, LIKED_BY_BOB, commits, event
from running import Running, ticks

LINE = {
    "externalId": "t3_1",
    "author": "ann",
    "message": "a\u0085b",
    "datePosted": "2020-01-02T03:04:05Z",
    "likes": 700,
}


@pytest.fixture
def post_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    file = tmp_path / "posts.ndjson"
    file.write_text(json.dumps(LINE), encoding="utf-8")
    assert main.run(["import", str(file)]) == 0
    capsys.readouterr()
    with sqlite3.connect(tmp_path / "var/log.sqlite") as connection:
        (found,) = connection.execute("SELECT stream_id FROM commits LIMIT 1").fetchone()
    return str(found)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main.run(["events", "show", *arguments]) == 0
    return capsys.readouterr().out.split("\n")[:-1]


def test_events_are_shown_oldest_first_over_all_pages(post_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, post_id)
    assert len(lines) == 701
    assert "PostCreated" in lines[0]
    assert [int(line.split()[0]) for line in lines] == list(range(1, 702))


def test_control_characters_in_user_text_are_escaped(post_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(capsys, post_id, "--limit", "1")
    assert '"message": "a\\u0085b"' in line


def test_json_has_the_fields_of_the_http_response(post_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    records = [json.loads(line) for line in shown(capsys, post_id.upper(), "--json", "--after", "1", "--limit", "600")]
    assert len(records) == 600
    assert records[0].pop("recordedAt").endswith("Z")
    assert records[0] == {
        "type": "PostLiked",
        "schemaVersion": 2,
        "storedType": "PostLiked",
        "storedSchemaVersion": 2,
        "version": 2,
        "position": 1,
        "actor": None,
        "correlationId": None,
        "data": {"username": None},
    }


def test_an_invalid_id_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["events", "show", "abc"]) == 2
    assert "'abc' is not a post id, which is a UUID." in capsys.readouterr().err


OLD_LIKE = event("PostLiked", 1)
NEWER = event("PostLiked", 3, username="Bob", mood="good")


def posts(count: int, *more) -> Iterator[ProposedCommit]:
    """Posts of 10 commits each; the first one has `more` after them."""
    for number in range(count):
        history = [
            [CREATED],
            [COMMENTED],
            *[[LIKED_BY_BOB]] * 4,
            *[[OLD_LIKE]] * 4,
            *([more] if more and not number else []),
        ]
        yield from commits(history, PostId(f"0198c0de-0000-7000-8000-{number:012x}"))


def fill(folder: Path, commits: Iterator[ProposedCommit]) -> None:
    async def append() -> None:
        async with SqliteLog(folder / "var/log.sqlite") as log:
            while page := list(islice(commits, 1_000)):
                await SqliteEventStore(log).append(page)

    asyncio.run(append())


@pytest.fixture(scope="module")
def large_log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option that names a log of 50,000 commits. Tests must not change it."""
    folder = tmp_path_factory.mktemp("large")
    fill(folder, posts(5_000))
    return f"--set=event_store.sqlite.path={folder}/var/log.sqlite"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The processes that were started beside this one."""
    started: list[object] = []
    process_class = multiprocessing.get_context("spawn").Process
    start = process_class.start

    def noted_start(self: object) -> None:
        started.append(self)
        start(self)

    monkeypatch.setattr(process_class, "start", noted_start)
    return started


def test_fifty_thousand_events_are_checked_by_two_processes(
    large_log: str, capsys: pytest.CaptureFixture[str], processes: list[object]
) -> None:
    assert main.run(["events", "check", "--processes", "2", large_log]) == 0
    assert len(processes) == 1
    assert capsys.readouterr().out == (
        "event         version         events  unreadable\n"
        "CommentAdded        1          5,000           0\n"
        "PostCreated         1          5,000           0\n"
        "PostLiked           1         20,000           0\n"
        "PostLiked           2         20,000           0\n"
        "50,000 events in 50,000 commits: this version can read all of them.\n"
        f"Log: sqlite {large_log.rpartition('=')[2]}.\n"
    )


def test_unreadable_events_are_shown_with_their_position_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, posts(1, LIKED_BY_BOB, NEWER))
    assert main.run(["events", "check"]) == 1
    assert capsys.readouterr().out == (
        "event         version         events  unreadable\n"
        "CommentAdded        1              1           0\n"
        "PostCreated         1              1           0\n"
        "PostLiked           1              4           0\n"
        "PostLiked           2              5           0\n"
        "PostLiked           3              1           1\n"
        "12 events in 11 commits: 1 commit can't be read by this version.\n"
        "position 11: Event 12 of post 0198c0de-0000-7000-8000-000000000000 (PostLiked, schema version 3): this "
        "version of Postlog reads up to schema version 2; run a newer one.\n"
        f"Log: sqlite {tmp_path / 'var/log.sqlite'}.\n"
    )


def test_processes_report_unreadable_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processes: list[object]
) -> None:
    fill(tmp_path, posts(400, NEWER))
    assert main.run(["events", "check", "--json", "--processes", "2"]) == 1
    assert len(processes) == 1
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records[4] == {"type": "PostLiked", "schemaVersion": 3, "events": 1, "unreadable": 1}
    place = records[5]
    assert place.pop("reason").endswith("this version of Postlog reads up to schema version 2; run a newer one.")
    assert place == {
        "position": 11,
        "postId": "0198c0de-0000-7000-8000-000000000000",
        "version": 11,
        "type": "PostLiked",
        "schemaVersion": 3,
    }
    log = f"sqlite {tmp_path / 'var/log.sqlite'}"
    assert records[6] == {"commits": 4_001, "events": 4_001, "unreadable": 1, "damaged": 0, "log": log}


def test_only_the_first_places_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, posts(1, NEWER))
    for number in range(1, 5):
        fill(tmp_path, iter(commits([[NEWER]], PostId(f"0198c0de-0000-7000-9000-{number:012x}"))))
    assert main.run(["events", "check", "--places", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()[-5:]
    assert lines[0] == "15 events in 15 commits: 5 commits can't be read by this version."
    assert [line.partition(":")[0] for line in lines[1:3]] == ["position 11", "position 12"]
    assert lines[3] == "… and 3 more; --places prints more of them."


def test_nothing_is_changed(tmp_path: Path) -> None:
    fill(tmp_path, posts(10))
    file = tmp_path / "var/log.sqlite"
    before = file.read_bytes()
    assert main.run(["events", "check"]) == 0
    assert file.read_bytes() == before


def test_a_folder_without_a_log_is_not_taken_for_an_empty_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["events", "check"]) == 2
    assert "event_store.sqlite.path is var/log.sqlite, which does not exist" in capsys.readouterr().err
    assert not (tmp_path / "var").exists()


def test_a_damaged_log_ends_the_check_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processes: list[object]
) -> None:
    fill(tmp_path, posts(400))
    with sqlite3.connect(tmp_path / "var/log.sqlite") as connection:
        connection.execute("DROP TRIGGER commits_are_never_changed")
        connection.execute("UPDATE commits SET events = '[' WHERE position = 3000")
    assert main.run(["events", "check", "--processes", "2"]) == 2
    assert len(processes) == 1
    assert "the commit at position 3000 is damaged" in capsys.readouterr().err


def test_a_short_log_is_read_by_this_process_only(tmp_path: Path, processes: list[object]) -> None:
    fill(tmp_path, posts(100))
    assert main.run(["events", "check"]) == 0
    assert processes == []


def test_ctrl_c_ends_the_check_and_its_processes_at_any_time(tmp_path: Path, large_log: str) -> None:
    """A terminal sends it to all of them: here while one process is starting, and the next one is not started yet."""
    with Running(tmp_path / "output", "events", "check", "--processes", "3", large_log) as running:
        for _ in ticks(20, "no processes"):
            children = children_of(running.process.pid)
            if len(children) >= 2:
                break
        assert running.signal_group(signal.SIGINT) == 130, running.printed
        for _ in ticks(10, "its processes live on"):
            if not any(Path(f"/proc/{child}").exists() for child in children):
                break
        assert running.printed == "Interrupted.\n"


async def test_sigint_is_blocked_in_worker_processes() -> None:
    async with WorkerProcess(load_settings(environ={}), "events check", checking):
        [process] = multiprocessing.active_children()
        status = Path(f"/proc/{process.pid}/status").read_text()
        blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
        assert blocked & 1 << signal.SIGINT - 1


async def test_a_worker_process_that_dies_is_reported() -> None:
    async with WorkerProcess(load_settings(environ={}), "events check", checking) as worker:
        [process] = multiprocessing.active_children()
        process.kill()
        with pytest.raises(StoreUnavailable, match="A process of this job ended before it was done"):
            await worker.ask((PositionRange(0, 1), 1))


async def test_a_worker_process_whose_start_is_cancelled_is_ended_first() -> None:
    """Otherwise its thread could call the loop after it is closed."""
    worker = WorkerProcess(load_settings(environ={}), "events check", checking)
    entering = asyncio.create_task(worker.__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert multiprocessing.active_children() == []
    assert [each.name for each in threading.enumerate() if "worker-process" in each.name] == []


def children_of(pid: int) -> list[str]:
    return [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
