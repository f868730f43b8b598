"""The log's file is shared with processes that append, and that are killed during appends."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.sqlite import commit_log
from adapters.sqlite.commit_log import SqliteCommitLog
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from application.envelopes import Commit
from contracts.log_handle import POST_A, POST_B, proposed

SCRIPT = Path(__file__).with_name("appending_process.py")


@asynccontextmanager
async def appending(path: Path, stream_id: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(SCRIPT), str(path), stream_id, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def acknowledged(process: Process, lines: int) -> dict[str, int]:
    """Commit id -> position of the next `lines` acknowledgements."""
    assert process.stdout is not None
    result: dict[str, int] = {}
    for _ in range(lines):
        position, commit_id = (await process.stdout.readline()).decode().split()
        result[commit_id] = int(position)
    return result


async def everything(log: SqliteLog) -> list[Commit]:
    commits: list[Commit] = []
    while page := await SqliteCommitLog(log).read(len(commits)):
        commits += page
    return commits


async def test_killed_processes_keep_what_was_acknowledged_and_leave_a_dense_log(log_path: Path) -> None:
    """kill -9 in the middle of appends of two processes, three times over."""
    promised: dict[str, int] = {}
    for lines in (5, 20, 41):
        async with appending(log_path, POST_A) as first, appending(log_path, POST_B) as second:
            both = await asyncio.gather(acknowledged(first, lines), acknowledged(second, lines))
            first.kill()
            second.kill()
        promised |= both[0] | both[1]

    async with SqliteLog(log_path) as log:
        commits = await everything(log)
    stored = {commit.commit_id: commit.position for commit in commits}
    assert [commit.position for commit in commits] == list(range(1, len(commits) + 1))
    assert {commit_id: stored.get(commit_id) for commit_id in promised} == promised
    for stream_id in (POST_A, POST_B):
        versions = [commit.version for commit in commits if commit.stream_id == stream_id]
        assert versions == list(range(1, 2 * len(versions) + 1, 2))
        assert len(versions) % 3 == 0, "half a group was stored"


async def test_another_process_s_append_is_noticed_soon(sqlite_log: SqliteLog, log_path: Path) -> None:
    log = SqliteCommitLog(sqlite_log)
    waiting = asyncio.create_task(log.wait(after=0, timeout=60))
    async with appending(log_path, POST_A) as process:
        await acknowledged(process, 1)
        started = time.monotonic()
        await waiting
        assert time.monotonic() - started < 2.0
    assert await log.tip() >= 1


async def test_an_append_here_wakes_a_wait_without_polling(
    sqlite_log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "_POLL_SECONDS", 60.0)
    waiting = asyncio.create_task(SqliteCommitLog(sqlite_log).wait(after=0, timeout=60))
    await asyncio.sleep(0)
    await SqliteEventStore(sqlite_log).append([proposed(POST_A)])
    async with asyncio.timeout(5):
        await waiting


async def test_an_append_whose_caller_was_cancelled_wakes_a_wait_too(
    sqlite_log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "_POLL_SECONDS", 60.0)
    waiting = asyncio.create_task(SqliteCommitLog(sqlite_log).wait(after=0, timeout=60))
    appending_task = asyncio.create_task(SqliteEventStore(sqlite_log).append([proposed(POST_A)]))
    await asyncio.sleep(0)
    appending_task.cancel()
    async with asyncio.timeout(5):
        await waiting
    with pytest.raises(asyncio.CancelledError):
        await appending_task
