"""`postlog rebuild --workers`: processes that read and fold side by side."""

import asyncio
import json
import multiprocessing
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from domain.ids import PostId
from entrypoints.cli import main
from old_shapes import COMMENTED, CREATED, LIKED_BY_BOB, commits, event

POSTS = 40


def fill(folder: Path) -> None:
    history = [[CREATED], [COMMENTED], *[[LIKED_BY_BOB]] * 3, [event("PostLiked", 1)] * 2]

    async def append() -> None:
        async with SqliteLog(folder / "var/log.sqlite") as log:
            for number in range(POSTS):
                await SqliteEventStore(log).append(
                    list(commits(history, PostId(f"0198c0de-0000-7000-8000-{number:012x}")))
                )

    asyncio.run(append())


def rows(folder: Path) -> tuple[list[tuple[object, ...]], int]:
    with closing(sqlite3.connect(folder / "var/read.sqlite")) as connection:
        posts = connection.execute("SELECT DISTINCT message, likes, version FROM posts").fetchall()
        return posts, connection.execute("SELECT count(*) FROM comments").fetchone()[0]


def test_several_processes_build_the_same_rows_and_end_with_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path)
    assert main.run(["rebuild", "--json"]) == 0
    by_one = rows(tmp_path)
    capsys.readouterr()

    assert main.run(["rebuild", "--json", "--workers", "2", "--batch", "60"]) == 0

    [result] = capsys.readouterr().out.splitlines()
    assert json.loads(result)["events"] == POSTS * 7
    assert json.loads(result)["position"] == POSTS * 6
    assert rows(tmp_path) == by_one
    assert [likes for _, likes, _ in by_one[0]] == [5]
    assert by_one[1] == POSTS
    assert main.run(["audit"]) == 0
    assert multiprocessing.active_children() == []


def test_the_number_of_workers_is_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    assert main.run(["rebuild", "--workers", "17"]) == 2
    assert "--workers" in capsys.readouterr().err


def test_a_rebuild_lowers_its_priority(tmp_path: Path, niceness_set: list[int]) -> None:
    fill(tmp_path)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert main.run(["rebuild"]) == 0
    assert niceness_set == [10]

    assert main.run(["rebuild", "--set", f"rebuild.niceness={before}"]) == 0
    assert niceness_set == [10]
