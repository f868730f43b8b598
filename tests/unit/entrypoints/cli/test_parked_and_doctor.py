"""`postlog parked` and `postlog doctor`, on a log and rows in files."""

import asyncio
import json
import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from application.ports.read_db import ParkedStream, ProjectionBatch, ProjectionStore, RowChanges, RowKeys
from domain.ids import PostId
from entrypoints.cli import main
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import load_settings

POST = PostId("0198c0de-0000-7000-8000-000000000001")
PARKED = ParkedStream(
    post_id=POST,
    version=3,
    position=17,
    waiting_version=4,
    code="event-not-readable",
    reason="PostPainted is no\nknown type.",
    parked_at=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
)


def log_place() -> str:
    return f"Log: sqlite {Path('var/log.sqlite').absolute()}."


def read_db_place() -> str:
    return f"Read database: sqlite {Path('var/read.sqlite').absolute()}."


def arrange(*, parked: ParkedStream | None = None, claimed_for: str | None = None) -> None:
    """A log with nothing in it, and its rows."""

    async def write() -> None:
        async with Resources(container_for(load_settings(environ=os.environ).settings)) as resources:
            log = await resources.open_log()
            store = (await resources.open_read_db()).projection_store
            await store.claim(1, claimed_for or await log.commit_log.log_id(), 1)
            if parked is not None:
                await _park(store, parked)

    asyncio.run(write())


async def _park(store: ProjectionStore, parked: ParkedStream) -> None:
    batch = ProjectionBatch(1, (), RowKeys([parked.post_id], ()))
    await store.project(batch, lambda _: RowChanges(parked=[parked]))


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main.run(arguments)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_without_parked_posts_the_status_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    arrange()
    assert ran(capsys, "parked", "list") == (0, f"No post is parked.\n{read_db_place()}\n", "")
    assert ran(capsys, "parked", "list", "--json") == (0, "", "")
    assert ran(capsys, "parked", "retry") == (0, f"No post is parked.\n{log_place()} {read_db_place()}\n", "")
    assert ran(capsys, "parked", "show", POST) == (0, f"{POST}  is not parked.\n{read_db_place()}\n", "")


def test_a_parked_post_is_shown_with_its_reason_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    arrange(parked=PARKED)
    line = (
        f"{POST}  since 2026-11-23T12:00:00.000Z, from version 3 at position 17"
        "  event-not-readable: PostPainted is no\\x0aknown type.\n"
        f"{read_db_place()}\n"
    )
    assert ran(capsys, "parked", "list") == (1, line, "")
    assert ran(capsys, "parked", "show", POST) == (1, line, "")
    status, out, _ = ran(capsys, "parked", "list", "--json")
    assert status == 1
    assert json.loads(out) == {
        "postId": POST,
        "parked": True,
        "version": 3,
        "position": 17,
        "code": "event-not-readable",
        "reason": "PostPainted is no\nknown type.",
        "parkedAt": "2026-11-23T12:00:00.000Z",
        "readDb": read_db_place().removeprefix("Read database: ").removesuffix("."),
    }


def test_a_post_whose_events_can_be_projected_again_is_freed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    posts = tmp_path / "posts.ndjson"
    line = {"externalId": "x", "author": "ann", "message": "Hello", "datePosted": "2020-01-02T03:04:05Z", "likes": 1}
    posts.write_text(json.dumps(line), encoding="utf-8")
    assert main.run(["import", str(posts)]) == 0
    post_id = _only_post(tmp_path)
    arrange(parked=replace(PARKED, post_id=post_id, version=1, position=1, waiting_version=2))
    capsys.readouterr()
    assert ran(capsys, "parked", "retry", post_id) == (
        0,
        f"{post_id}  is not parked.\n{log_place()} {read_db_place()}\n",
        "",
    )
    assert ran(capsys, "parked", "list")[0] == 0


def _only_post(folder: Path) -> PostId:

    with sqlite3.connect(folder / "var/log.sqlite") as connection:
        (post_id,) = connection.execute("SELECT stream_id FROM commits").fetchone()
    return PostId(post_id)


def test_rows_of_another_log_are_not_retried(capsys: pytest.CaptureFixture[str]) -> None:
    arrange(parked=PARKED, claimed_for="0198c0de-0000-7000-8000-00000000000b")
    status, out, err = ran(capsys, "parked", "retry")
    assert (status, out) == (2, "")
    assert err.startswith("Error: The read database was filled from log 0198c0de-0000-7000-8000-00000000000b")


def test_listing_parked_posts_creates_no_database(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, err = ran(capsys, "parked", "list")
    assert status == 2
    assert "read_db.sqlite.path is var/read.sqlite, which does not exist" in err
    assert not (tmp_path / "var").exists()


def test_the_doctor_has_a_line_for_everything(capsys: pytest.CaptureFixture[str]) -> None:
    arrange()
    status, out, err = ran(capsys, "doctor")
    assert (status, err) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "ok       settings",
        "ok       event_store",
        "ok       read_db",
        "ok       disk of event_store.sqlite.path",
        "ok       disk of read_db.sqlite.path",
        "ok       integrity of event_store.sqlite.path",
        "ok       integrity of read_db.sqlite.path",
        "ok       read_db schema",
        "ok       positions",
        "ok       log match",
        "ok       lag",
        "ok       parked posts",
        "ok       rebuild",
    ]


def test_the_doctor_ends_with_1_for_parked_posts(capsys: pytest.CaptureFixture[str]) -> None:
    arrange(parked=PARKED)
    status, out, _ = ran(capsys, "doctor", "--json")
    assert status == 1
    problems = [record for record in map(json.loads, out.splitlines()) if not record["ok"]]
    assert [problem["check"] for problem in problems] == ["parked posts"]


def test_the_doctor_ends_with_2_for_rows_of_another_log(capsys: pytest.CaptureFixture[str]) -> None:
    arrange(claimed_for="0198c0de-0000-7000-8000-00000000000b")
    status, out, _ = ran(capsys, "doctor")
    assert status == 2
    assert "problem  log match: The read database was filled from log" in out


def test_the_doctor_has_a_line_for_each_wrong_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("POSTLOG__LOG__LEVEL", "loud")
    status, out, _ = ran(capsys, "doctor")
    assert status == 2
    assert out.splitlines() == [
        "problem  settings: http.port is 'x'; it must be a whole number from 0 to 65,535 (PORT).",
        "problem  settings: log.level is 'loud'; it must be one of debug, info, warning, error (POSTLOG__LOG__LEVEL).",
    ]


def test_the_doctor_names_an_unavailable_server_and_hides_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrange()
    monkeypatch.setenv("POSTLOG__READ_DB__ADAPTER", "postgres")
    monkeypatch.setenv("POSTLOG__READ_DB__POSTGRES__URL", "postgresql://ann:s3cr3t@127.0.0.1:1/postlog")
    status, out, err = ran(capsys, "doctor")
    assert status == 2
    assert "problem  read_db: " in out
    assert "read_db.postgres.url" in out
    assert "s3cr3t" not in out + err


def test_the_doctor_changes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file without tables keeps none."""
    arrange()
    (tmp_path / "var/read.sqlite").unlink()
    for beside in ("-wal", "-shm"):
        (tmp_path / f"var/read.sqlite{beside}").unlink(missing_ok=True)
    (tmp_path / "var/read.sqlite").touch()
    status, out, _ = ran(capsys, "doctor")
    assert status == 2
    assert "problem  read_db: " in out
    assert "postlog init" in out
