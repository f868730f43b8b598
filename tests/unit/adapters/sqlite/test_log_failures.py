"""Appends to a log whose disk, file or neighbours misbehave."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite import log_file
from adapters.sqlite.commit_log import SqliteCommitLog
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog, connect
from application.errors import LogChanged, StoreUnavailable
from application.ports.event_store import AlreadyStored, Appended, NotTried, Unsettled, VersionTaken
from contracts.log_handle import POST_A, POST_B, Visitor, proposed, with_data
from contracts.waiting import eventually


@pytest.fixture
async def impatient(log_path: Path) -> AsyncIterator[SqliteLog]:
    async with SqliteLog(log_path, append_timeout=0.05) as log:
        yield log


@pytest.fixture
def neighbour(log_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(log_path, isolation_level=None)) as connection:
        yield connection


def unsettled(outcomes: list[Any]) -> str:
    """The reason, which is the same for the whole group."""
    assert all(isinstance(outcome, Unsettled) for outcome in outcomes), outcomes
    [reason] = {outcome.reason for outcome in outcomes}
    return str(reason)


def delete(path: Path) -> None:
    path.unlink()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def replace_by_an_empty_file(path: Path) -> None:
    path.rename(path.with_name("moved.db"))
    path.write_bytes(b"")


# Neighbours


async def test_a_neighbour_that_keeps_the_lock_too_long_leaves_the_append_unsettled(
    impatient: SqliteLog, neighbour: sqlite3.Connection
) -> None:
    store = SqliteEventStore(impatient)
    neighbour.execute("BEGIN IMMEDIATE")
    assert "database is locked" in unsettled(await store.append([proposed(POST_A), proposed(POST_B)]))
    neighbour.execute("ROLLBACK")
    assert await store.append([proposed(POST_A), proposed(POST_B)]) == [Appended(1), Appended(2)]


async def test_an_append_waits_for_a_neighbour_s_lock(sqlite_log: SqliteLog, neighbour: sqlite3.Connection) -> None:
    neighbour.execute("BEGIN IMMEDIATE")
    appending = asyncio.create_task(SqliteEventStore(sqlite_log).append([proposed(POST_A)]))
    done, _ = await asyncio.wait([appending], timeout=0.05)
    assert done == set()
    neighbour.execute("ROLLBACK")
    assert await appending == [Appended(1)]


async def test_reading_does_not_wait_for_a_neighbour_s_lock(
    sqlite_log: SqliteLog, neighbour: sqlite3.Connection
) -> None:
    await SqliteEventStore(sqlite_log).append([proposed(POST_A)])
    neighbour.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(5):
        assert await SqliteCommitLog(sqlite_log).tip() == 1


async def test_closing_does_not_wait_for_a_neighbour_s_lock(log_path: Path) -> None:
    async with SqliteLog(log_path, append_timeout=60) as log:
        with closing(sqlite3.connect(log_path, isolation_level=None)) as neighbour:
            neighbour.execute("BEGIN IMMEDIATE")
            appending = asyncio.create_task(SqliteEventStore(log).append([proposed(POST_A)]))
            await asyncio.sleep(0)
            started = time.monotonic()
            await log.__aexit__()
            assert time.monotonic() - started < 5
            unsettled(await appending)


# The caller


async def test_a_cancelled_caller_does_not_cancel_the_write(
    sqlite_log: SqliteLog, neighbour: sqlite3.Connection
) -> None:
    store = SqliteEventStore(sqlite_log)
    neighbour.execute("BEGIN IMMEDIATE")
    appending = asyncio.create_task(store.append([proposed(POST_A), proposed(POST_B)]))
    await asyncio.wait([appending], timeout=0.01)
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    neighbour.execute("ROLLBACK")
    commit = await eventually(lambda: store.find_commit(proposed(POST_B).commit_id))
    assert commit.position == 2


async def test_a_version_behind_a_gap_is_refused(sqlite_log: SqliteLog) -> None:
    store = SqliteEventStore(sqlite_log)
    await store.append([proposed(POST_A)])
    assert await store.append([proposed(POST_A, 3), proposed(POST_A, 4), proposed(POST_B, 2)]) == [
        VersionTaken(),
        NotTried(),
        VersionTaken(),
    ]
    assert await SqliteCommitLog(sqlite_log).tip() == 1


async def test_a_bug_in_the_middle_of_a_write_leaves_nothing_stored(sqlite_log: SqliteLog) -> None:
    def faulty(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO log VALUES ('half')")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await sqlite_log.write(faulty)
    assert await SqliteEventStore(sqlite_log).append([proposed(POST_A)]) == [Appended(1)]
    ids = await sqlite_log.read(lambda connection: connection.execute("SELECT id FROM log").fetchall())
    assert len(ids) == 1


async def test_a_commit_larger_than_a_page_is_read_alone(sqlite_log: SqliteLog) -> None:
    store = SqliteEventStore(sqlite_log)
    await store.append([with_data(POST_A, 1, {"message": "x" * 16_000_001}), proposed(POST_A, 2)])
    assert [commit.position for commit in await SqliteCommitLog(sqlite_log).read(0)] == [1]
    assert [commit.position for commit in await store.read_stream(POST_A, after_version=1)] == [2]


# The disk


async def test_a_full_disk_leaves_the_whole_group_unsettled_and_nothing_of_it_stored(sqlite_log: SqliteLog) -> None:
    store = SqliteEventStore(sqlite_log)
    await store.append([proposed(POST_A)])
    pages = await sqlite_log.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await sqlite_log.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())

    group = [proposed(POST_A, 2), with_data(POST_B, 1, {"message": "x" * 100_000})]
    assert "database or disk is full" in unsettled(await store.append(group))
    assert await SqliteCommitLog(sqlite_log).tip() == 1

    assert await store.append(group) == [Appended(2), Appended(3)]


class FailingAtTheEnd(sqlite3.Connection):
    """Raises the error of a broken disk at COMMIT, before or after it has happened."""

    happens = True
    fail = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.fail:
            if self.happens:
                super().execute(sql)
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


@pytest.fixture
async def breaking(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[bool], None]]:
    """Call it to make the log's next COMMIT fail; its argument is whether the transaction happens all the same."""
    original = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: original(*args, **kwargs, factory=FailingAtTheEnd))

    def let_next_commit_fail(happens: bool) -> None:
        monkeypatch.setattr(FailingAtTheEnd, "fail", True)
        monkeypatch.setattr(FailingAtTheEnd, "happens", happens)

        def connect_to_a_mended_disk(*args: Any) -> sqlite3.Connection:
            monkeypatch.setattr(FailingAtTheEnd, "fail", False)
            return connect(*args)

        monkeypatch.setattr(log_file, "connect", connect_to_a_mended_disk)

    return let_next_commit_fail


async def test_a_failed_commit_that_happened_is_found_by_its_commit_id(
    breaking: Callable[[bool], None], log_path: Path
) -> None:
    async with SqliteLog(log_path) as log:
        store = SqliteEventStore(log)
        await store.append([proposed(POST_A)])
        breaking(True)
        assert await store.append([proposed(POST_A), proposed(POST_B), proposed(POST_A, 2)]) == [
            AlreadyStored((await store.read_stream(POST_A))[0]),
            Appended(2),
            NotTried(),
        ]
        assert await store.append([proposed(POST_B, 2)]) == [Appended(3)]


async def test_a_failed_commit_that_is_not_found_is_unsettled(breaking: Callable[[bool], None], log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        store = SqliteEventStore(log)
        await store.append([proposed(POST_A)])
        breaking(False)
        assert "disk I/O error" in unsettled(await store.append([proposed(POST_A, 2), proposed(POST_B)]))
        assert await SqliteCommitLog(log).tip() == 1
        assert await store.append([proposed(POST_A, 2), proposed(POST_B)]) == [Appended(2), Appended(3)]


# The file


async def test_nothing_is_acknowledged_into_a_file_that_was_deleted(log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        store = SqliteEventStore(log)
        await store.append([proposed(POST_A)])
        delete(log_path)
        assert "log.db is gone" in unsettled(await store.append([proposed(POST_B)]))
    assert "log.db" not in names_in(log_path.parent)


async def test_nothing_is_acknowledged_into_a_file_that_was_replaced(log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        store = SqliteEventStore(log)
        await store.append([proposed(POST_A)])
        replace_by_an_empty_file(log_path)
        with pytest.raises(LogChanged, match="was changed while Postlog ran: the file was replaced"):
            await store.append([proposed(POST_B)])


@pytest.mark.parametrize(
    ("recorded_at", "metadata", "events"),
    [
        ("yesterday", "{}", "[]"),
        ("2026-11-23T15:46:58.123Z", "[]", "[]"),
        ("2026-11-23T15:46:58.123Z", "{}", "not JSON"),
        ("2026-11-23T15:46:58.123Z", "{}", '[{"type": "PostLiked"}]'),
    ],
)
async def test_a_damaged_commit_is_named(
    sqlite_log: SqliteLog, neighbour: sqlite3.Connection, recorded_at: str, metadata: str, events: str
) -> None:
    neighbour.execute("INSERT INTO commits VALUES (1, ?, 1, 1, 'id', ?, ?, ?)", (POST_A, recorded_at, metadata, events))
    log = SqliteCommitLog(sqlite_log)
    with pytest.raises(StoreUnavailable, match="the commit at position 1 is damaged"):
        await log.read(0)
    with pytest.raises(StoreUnavailable, match="the commit at position 1 is damaged"):
        await log.visit(0, 1, Visitor(takes_texts=False))
    if events != "[]":
        with pytest.raises(StoreUnavailable, match="the commit at position 1 is damaged"):
            await log.read_events(0)
