"""The log's file: what it guarantees, and which files are refused."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite.commit_log import SqliteCommitLog, SqliteLogProbe
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_file import SqliteLog
from adapters.sqlite.log_file import open_log as open_log_file
from adapters.sqlite.log_schema import prepare
from application.errors import CannotOpen, StoreUnavailable
from application.ports.event_store import Unsettled
from application.ports.provisioning import ProbeResult
from contracts.log_handle import POST_A, liked, proposed, receipt

SETTING = "event_store.sqlite.path"


@pytest.fixture
def shell(sqlite_log: SqliteLog) -> Iterator[sqlite3.Connection]:
    """A SQLite shell on the file."""
    with closing(sqlite3.connect(sqlite_log.path)) as connection:
        yield connection


@pytest.fixture
def diary(log_path: Path) -> Path:
    """A file of another kind at the log's path."""
    log_path.write_bytes(b"Dear diary, " * 1_000)
    return log_path


def id_in(connection: sqlite3.Connection) -> str:
    [(only,)] = connection.execute("SELECT id FROM log").fetchall()
    return str(only)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


async def refusal_of(path: Path) -> str:
    """The error of opening the file as a log."""
    with pytest.raises(CannotOpen) as caught:
        async with SqliteLog(path):
            pass
    assert caught.value.path == SETTING
    return caught.value.message


# What is in the file


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE commits SET events = '[]'",
        "UPDATE commits SET version = 7, last_version = 7 WHERE position = 1",
        "DELETE FROM commits",
        "DELETE FROM commits WHERE position = 1",
    ],
)
async def test_commits_are_never_changed_or_deleted(
    sqlite_log: SqliteLog, shell: sqlite3.Connection, statement: str
) -> None:
    commit = proposed(POST_A)
    await SqliteEventStore(sqlite_log).append([commit])
    with pytest.raises(sqlite3.IntegrityError, match="commits are never"):
        shell.execute(statement)
    shell.rollback()
    [stored] = await SqliteCommitLog(sqlite_log).read(0)
    assert stored.events == commit.events


@pytest.mark.parametrize(
    ("position", "stream_id", "version", "commit_id"),
    [(1, "another", 1, "another"), (2, POST_A, 1, "another"), (2, "another", 1, "first")],
    ids=["position", "stream-and-version", "commit-id"],
)
async def test_the_file_itself_holds_the_three_unique_keys(
    shell: sqlite3.Connection, position: int, stream_id: str, version: int, commit_id: str
) -> None:
    insert = "INSERT INTO commits VALUES (?, ?, ?, ?, ?, '2026-11-23T15:46:58.123Z', '{}', '[]')"
    shell.execute(insert, (1, POST_A, 1, 1, "first"))
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        shell.execute(insert, (position, stream_id, version, version, commit_id))


async def test_a_stored_commit_can_be_read_with_any_shell(sqlite_log: SqliteLog, shell: sqlite3.Connection) -> None:
    await SqliteEventStore(sqlite_log).append([proposed(POST_A, 1, liked("Žofie"), liked(None), name="one")])
    assert shell.execute("SELECT * FROM commits").fetchall() == [
        (
            1,
            "019b0000-0000-7000-8000-00000000000a",
            1,
            2,
            "8c50a4e8-208d-56d3-99a7-38a99d550f78",
            "2026-11-23T15:46:58.123Z",
            '{"actor":"ann"}',
            (
                '[{"type":"PostLiked","schemaVersion":2,"data":{"username":"Žofie"}},'
                '{"type":"PostLiked","schemaVersion":2,"data":{"username":null}}]'
            ),
        )
    ]


async def test_an_acknowledged_commit_is_on_the_disk(sqlite_log: SqliteLog) -> None:
    """Full synchronization, also on the connection after a failure; NORMAL may lose commits at a power cut."""
    full = 2
    ask = "PRAGMA synchronous"
    assert await sqlite_log.write(lambda connection: connection.execute(ask).fetchone()[0]) == full
    with pytest.raises(StoreUnavailable):
        await sqlite_log.write(lambda connection: connection.execute("not SQL"))
    assert await sqlite_log.write(lambda connection: connection.execute(ask).fetchone()[0]) == full
    assert await sqlite_log.read(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


async def test_readers_can_not_write(sqlite_log: SqliteLog) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await sqlite_log.read(lambda connection: connection.execute("INSERT INTO log VALUES ('another')"))


# Opening and closing


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    async with SqliteLog(tmp_path / "new" / "folder" / "log.db") as log:
        assert await SqliteCommitLog(log).tip() == 0


async def test_a_path_with_odd_characters_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "what? #1 100%" / "žurnál & log.db"
    async with SqliteLog(path):
        pass
    assert path.is_file()


async def test_processes_that_open_a_new_file_at_once_find_one_log(tmp_path: Path) -> None:
    async def log_id(path: Path) -> str:
        async with SqliteLog(path) as log:
            return await SqliteCommitLog(log).log_id()

    for round_ in range(5):
        path = tmp_path / f"{round_}.db"
        assert len(set(await asyncio.gather(*(log_id(path) for _ in range(6))))) == 1


def test_a_log_created_by_another_process_meanwhile_is_used_as_it_is(
    log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process comes between the check of the empty file and the lock on it."""
    original = sqlite3.connect
    rival_ids: list[str] = []

    class Overtaken(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE" and not rival_ids:
                with closing(original(log_path, isolation_level=None)) as rival:
                    prepare(rival, log_path)
                    rival_ids.append(id_in(rival))
            return super().execute(sql, *parameters)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: original(*args, **kwargs, factory=Overtaken))
    with closing(open_log_file(log_path)) as connection:
        assert [id_in(connection)] == rival_ids


async def test_closing_leaves_one_file(log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        await SqliteEventStore(log).append([proposed(POST_A)])
        await SqliteCommitLog(log).tip()
    assert [path.name for path in log_path.parent.iterdir()] == ["log.db"]


async def test_a_closed_log_reports_that_it_is_closed(log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        pass
    [outcome] = await SqliteEventStore(log).append([proposed(POST_A)])
    assert isinstance(outcome, Unsettled)
    assert "it is closed" in outcome.reason
    with pytest.raises(StoreUnavailable, match="it is closed"):
        await SqliteCommitLog(log).tip()


async def test_a_log_can_be_opened_again(log_path: Path) -> None:
    log = SqliteLog(log_path)
    async with log:
        await SqliteEventStore(log).append([proposed(POST_A)])
    async with log:
        assert await SqliteCommitLog(log).tip() == 1


# Files that are refused


async def test_a_log_from_before_there_were_receipts_keeps_them_too(log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        await SqliteEventStore(log).append([proposed(POST_A)])
    with closing(sqlite3.connect(log_path)) as connection:
        connection.execute("DROP TABLE receipts")
        connection.commit()
    async with SqliteLog(log_path) as log:
        store = SqliteEventStore(log)
        await store.keep_receipts([receipt("one", position=1)])
        assert await store.find_receipt(receipt("one", position=1).commit_id) == receipt("one", position=1)
        assert (await store.stream_tail(POST_A)) is not None


async def test_receipts_are_kept_for_a_week(sqlite_log: SqliteLog, shell: sqlite3.Connection) -> None:
    store = SqliteEventStore(sqlite_log)
    await store.keep_receipts([receipt("old", position=1), receipt("young", position=1)])
    for name, days in (("old", 7.1), ("young", 6.9)):
        shell.execute(
            "UPDATE receipts SET kept_at = kept_at - ? WHERE commit_id = ?",
            (int(days * 86_400), receipt(name, position=1).commit_id),
        )
    shell.commit()
    await store.keep_receipts([receipt("new", position=1)])
    found = [await store.find_receipt(receipt(name, position=1).commit_id) for name in ("old", "young", "new")]
    assert [each is None for each in found] == [True, False, False]


async def test_a_folder_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "log.db"
    message = await refusal_of(path)
    assert message.startswith(f"The event log {path} can't be opened: ")
    assert message.endswith("Check the file and its folder, or name another file in event_store.sqlite.path.")


async def test_a_folder_in_which_no_file_can_be_made_is_refused() -> None:
    assert "unable to open database file" in await refusal_of(Path("/proc/log.db"))


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "unable to open database file" in await refusal_of(tmp_path)


async def test_a_file_that_may_not_be_written_is_refused(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system call is replaced, since the superuser may write everywhere."""
    async with SqliteLog(log_path):
        pass
    monkeypatch.setattr("adapters.sqlite.log_file.os.access", lambda place, _: place != log_path)
    assert f"{log_path} is not writable" in await refusal_of(log_path)


async def test_a_file_that_is_not_a_database_is_refused_and_unchanged(diary: Path) -> None:
    before = content_of(diary)
    assert "file is not a database" in await refusal_of(diary)
    assert content_of(diary) == before


async def test_another_program_s_database_is_refused_and_unchanged(log_path: Path) -> None:
    with closing(sqlite3.connect(log_path)) as connection:
        connection.execute("CREATE TABLE posts (id TEXT)")
    before = content_of(log_path)
    assert await refusal_of(log_path) == (
        f"{log_path} is a SQLite database, but not an event log of Postlog; name another file in "
        "event_store.sqlite.path."
    )
    assert content_of(log_path) == before


async def test_a_log_of_a_newer_postlog_is_refused(log_path: Path) -> None:
    async with SqliteLog(log_path):
        pass
    with closing(sqlite3.connect(log_path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert await refusal_of(log_path) == (
        f"The event log {log_path} has format 2, but this version of Postlog supports only format 1; "
        "run a newer Postlog, or name another file in event_store.sqlite.path."
    )


# The probe


async def test_the_probe_reports_the_position_of_the_log(sqlite_log: SqliteLog) -> None:
    await SqliteEventStore(sqlite_log).append([proposed(POST_A)])
    assert await SqliteLogProbe(sqlite_log).probe() == ProbeResult(
        "event_store", ok=True, detail=f"The event log {sqlite_log.path} is at position 1."
    )


async def test_the_probe_reports_why_the_log_does_not_answer(log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        pass
    assert await SqliteLogProbe(log).probe() == ProbeResult(
        "event_store", ok=False, detail=f"The event log {log_path} ({SETTING}) does not answer: it is closed."
    )
