"""A log whose file is changed while a process has it open, and write-ahead logs that belong to another file."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite.commit_log import SqliteCommitLog, SqliteLogProbe
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_backup import SqliteLogBackup
from adapters.sqlite.log_file import SqliteLog
from application.envelopes import ProposedCommit
from application.errors import CannotOpen, LogChanged, StoreUnavailable
from application.ports.event_store import Appended, Unsettled
from contracts.log_handle import POST_A, POST_B, proposed, with_data

PAGES_OF_100 = "x" * 400_000


def beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}-{kind}")


def copy_onto(source: Path, target: Path) -> None:
    """Like `cp`: into the existing file."""
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing)


async def filled(log: SqliteLog, first: int, last: int, message: str = "x" * 3_000) -> None:
    """Commits at these versions of one post, twenty in a transaction, each about a page long."""
    store = SqliteEventStore(log)
    for start in range(first, last + 1, 20):
        group = [with_data(POST_A, v, {"message": message}) for v in range(start, min(start + 20, last + 1))]
        outcomes = await store.append(group)
        assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes


async def refused(log: SqliteLog, commit: ProposedCommit) -> str:
    """The message of the refusal."""
    try:
        [outcome] = await SqliteEventStore(log).append([commit])
    except LogChanged as error:
        return error.message
    assert isinstance(outcome, Unsettled), outcome
    return outcome.reason


def older_copy(log_path: Path, backup: Path) -> None:
    copy_onto(backup, log_path)


def empty_file(log_path: Path, backup: Path) -> None:
    log_path.write_bytes(b"")


def garbage(log_path: Path, backup: Path) -> None:
    with log_path.open("r+b") as file:
        file.write(b"Dear diary, " * 1_000)


def another_file(log_path: Path, backup: Path) -> None:
    beside(log_path, "new").write_bytes(backup.read_bytes())
    beside(log_path, "new").rename(log_path)


def no_file(log_path: Path, backup: Path) -> None:
    log_path.unlink()


def no_write_ahead_log(log_path: Path, backup: Path) -> None:
    beside(log_path, "wal").unlink()


def no_index(log_path: Path, backup: Path) -> None:
    beside(log_path, "shm").unlink()


def another_write_ahead_log(log_path: Path, backup: Path) -> None:
    content = beside(log_path, "wal").read_bytes()
    beside(log_path, "wal").unlink()
    beside(log_path, "wal").write_bytes(content)


def restored_by_a_shell(log_path: Path, backup: Path) -> None:
    """`.restore` of SQLite's shell goes through SQLite, with all its locks."""
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(log_path)) as target:
        source.backup(target)


CHANGES = [
    older_copy,
    empty_file,
    garbage,
    another_file,
    no_file,
    no_write_ahead_log,
    another_write_ahead_log,
    restored_by_a_shell,
]


@pytest.mark.parametrize("change", CHANGES)
async def test_nothing_is_acknowledged_into_a_log_that_was_changed(
    log_path: Path, tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 5)
        await SqliteLogBackup(log_path).backup(tmp_path / "backup", overwrite=False)
        await filled(log, 6, 10)
        change(log_path, tmp_path / "backup")

        reason = await refused(log, proposed(POST_B))
        result = await SqliteLogProbe(log).probe()

    assert not result.ok
    for sentence in (reason, result.detail):
        assert str(log_path) in sentence
        assert "event_store.sqlite.path" in sentence
        assert "was changed while Postlog ran" in sentence
        assert "postlog restore" in sentence


@pytest.mark.parametrize("change", [older_copy, garbage, another_file, no_write_ahead_log])
async def test_reads_are_refused_too(log_path: Path, tmp_path: Path, change: Callable[[Path, Path], None]) -> None:
    """A projector would take rows from it."""
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 5)
        await SqliteLogBackup(log_path).backup(tmp_path / "backup", overwrite=False)
        change(log_path, tmp_path / "backup")
        with pytest.raises(LogChanged, match="was changed while Postlog ran"):
            await SqliteCommitLog(log).read(0)


@pytest.mark.parametrize("change", [no_write_ahead_log, another_write_ahead_log])
async def test_the_content_of_a_removed_write_ahead_log_is_saved_when_the_process_ends(
    log_path: Path, tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 10)
        change(log_path, tmp_path)
        await refused(log, proposed(POST_B))
    async with SqliteLog(log_path) as log:
        stored = await SqliteCommitLog(log).read(0)
    assert [commit.stream_id for commit in stored][:10] == [POST_A] * 10
    assert [commit.stream_id for commit in stored][10:] in ([], [POST_B])  # the last one may be stored or not


async def test_readiness_notices_a_removed_index_and_commands_are_refused(log_path: Path, tmp_path: Path) -> None:
    """A process that starts now creates another index, and would not see this process's locks."""
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 10)
        no_index(log_path, tmp_path)
        result = await SqliteLogProbe(log).probe()
        assert (result.ok, "log.db-shm was removed or replaced" in result.detail) == (False, True)
        assert "was changed while Postlog ran" in await refused(log, proposed(POST_B))


async def test_the_copy_that_was_put_over_a_log_is_not_mixed_with_its_write_ahead_log(
    log_path: Path, tmp_path: Path
) -> None:
    """Neither while the process runs nor when it ends, though SQLite then writes the one into the other."""
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 5)
        await SqliteLogBackup(log_path).backup(tmp_path / "backup", overwrite=False)
        await filled(log, 6, 10)
        older_copy(log_path, tmp_path / "backup")
    assert log_path.read_bytes() == (tmp_path / "backup").read_bytes()


async def test_checkpoints_are_not_taken_for_a_change(log_path: Path) -> None:
    """SQLite makes one about every thousand pages, in this process and in another one."""
    async with SqliteLog(log_path) as log, SqliteLog(log_path) as another:
        before, before_fds = log_path.stat().st_mtime_ns, len(list(Path("/proc/self/fd").iterdir()))
        for version in range(1, 61, 2):
            await filled(log, version, version, PAGES_OF_100)
            await filled(another, version + 1, version + 1, PAGES_OF_100)
        assert log_path.stat().st_mtime_ns != before, "there was no checkpoint"
        assert (await SqliteLogProbe(log).probe()).ok
        assert await SqliteCommitLog(another).tip() == 60
        assert len(list(Path("/proc/self/fd").iterdir())) < before_fds + 20


async def test_a_table_created_when_the_log_was_opened_is_not_taken_for_a_change(log_path: Path) -> None:
    """As in a log of an older version: the table is in the write-ahead log until the first checkpoint."""
    async with SqliteLog(log_path):
        pass
    with closing(sqlite3.connect(log_path)) as connection:
        connection.execute("DROP TABLE receipts")
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 30, PAGES_OF_100)
        assert (await SqliteLogProbe(log).probe()).ok


async def test_a_log_that_sqlite_reports_as_malformed_refuses_every_later_command(log_path: Path) -> None:
    """Wherever the damage is: here in the pages of a post without writes."""
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 50)
        await SqliteEventStore(log).append([proposed(POST_B)])
    with log_path.open("r+b") as file:
        file.seek(20 * 4_096)
        file.write(b"\xff" * 10 * 4_096)

    async with SqliteLog(log_path) as log:
        with pytest.raises(StoreUnavailable):
            await SqliteCommitLog(log).read(0)
        reason = await refused(log, proposed(POST_B, 2))
        result = await SqliteLogProbe(log).probe()
    assert "database disk image is malformed" in reason
    assert (result.ok, "database disk image is malformed" in result.detail) == (False, True)


async def test_an_examination_finds_damage_that_no_query_met(log_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 50)
        await SqliteEventStore(log).append([proposed(POST_B)])
        await log.examine()
        assert (await SqliteLogProbe(log).probe()).ok
    with log_path.open("r+b") as file:
        file.seek(20 * 4_096)
        file.write(b"\xff" * 10 * 4_096)

    async with SqliteLog(log_path) as log:
        assert await SqliteEventStore(log).append([proposed(POST_B, 2)]) == [Appended(52)]
        await log.examine()
        assert "SQLite finds it damaged" in await refused(log, proposed(POST_B, 3))
        assert not (await SqliteLogProbe(log).probe()).ok


async def test_an_examination_ends_at_once_when_the_process_does(
    sqlite_log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_end(connection: sqlite3.Connection, *, quick: bool) -> list[str]:
        counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            connection.execute(counting).fetchone()
        return []

    monkeypatch.setattr("adapters.sqlite.log_file.problems", without_end)
    examining = asyncio.create_task(sqlite_log.examine())
    await asyncio.wait([examining], timeout=0.2)
    examining.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await examining


async def test_the_log_is_not_ready_while_nothing_can_be_written(sqlite_log: SqliteLog) -> None:
    await filled(sqlite_log, 1, 1)
    await sqlite_log.write(lambda connection: connection.execute("PRAGMA query_only = ON"))
    assert "readonly" in await refused(sqlite_log, proposed(POST_B))
    # The connection was dropped, as after each failure: the next write is tried on a new one, and here it works.
    assert (await SqliteLogProbe(sqlite_log).probe()).ok
    assert await SqliteEventStore(sqlite_log).append([proposed(POST_B)]) == [Appended(2)]


async def test_the_log_is_not_ready_as_long_as_writes_fail(
    sqlite_log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(path: Path, *_: object) -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)

    monkeypatch.setattr("adapters.sqlite.log_file.connect", connect)
    await sqlite_log.write(lambda connection: connection.execute("PRAGMA query_only = ON"))
    await refused(sqlite_log, proposed(POST_B))
    result = await SqliteLogProbe(sqlite_log).probe()
    assert (result.ok, "readonly" in result.detail) == (False, True)


# At the start


def leave_files_like_a_killed_process(log_path: Path, folder: Path) -> Path:
    """The files as they are while the log is open, which is what a kill -9 leaves."""
    folder.mkdir()
    for path in (log_path, beside(log_path, "wal")):
        shutil.copy(path, folder / path.name)
    return folder / log_path.name


async def test_the_write_ahead_log_of_a_killed_process_is_used(log_path: Path, tmp_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 30)
        left = leave_files_like_a_killed_process(log_path, tmp_path / "left")
    async with SqliteLog(left) as log:
        assert await SqliteCommitLog(log).tip() == 30


@pytest.mark.parametrize("later", [0, 1, 20, 400])
async def test_a_backup_beside_an_old_write_ahead_log_is_refused(log_path: Path, tmp_path: Path, later: int) -> None:
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 300)
        backup = (await SqliteLogBackup(log_path).backup(tmp_path / "backup", overwrite=False)).file
        await filled(log, 301, 300 + later)
        left = leave_files_like_a_killed_process(log_path, tmp_path / "left")
    copy_onto(backup, left)
    wal = beside(left, "wal").read_bytes()

    with pytest.raises(CannotOpen, match=r"write-ahead log beside it \(log.db-wal\) belongs to another file"):
        async with SqliteLog(left):
            pass
    assert left.read_bytes() == backup.read_bytes()
    assert beside(left, "wal").read_bytes() == wal


async def test_a_backup_beside_a_write_ahead_log_that_fits_by_chance_is_refused_and_both_stay(
    log_path: Path, tmp_path: Path
) -> None:
    """A few small commits, in the same pages of both files; the first page is not among them."""
    async with SqliteLog(log_path) as log:
        for version in (1, 2, 3):
            await SqliteEventStore(log).append([proposed(POST_A, version)])
        backup = (await SqliteLogBackup(log_path).backup(tmp_path / "backup", overwrite=False)).file
        left = leave_files_like_a_killed_process(log_path, tmp_path / "left")
    copy_onto(backup, left)
    wal = beside(left, "wal").read_bytes()
    with pytest.raises(CannotOpen, match="belongs to another file"):
        async with SqliteLog(left):
            pass
    assert (left.read_bytes(), beside(left, "wal").read_bytes()) == (backup.read_bytes(), wal)


@pytest.mark.parametrize("made_at", ["older", "newer"])
async def test_a_plain_copy_beside_another_write_ahead_log_is_refused(
    log_path: Path, tmp_path: Path, made_at: str
) -> None:
    copies: dict[str, Path] = {}
    for name, first, last in (("older", 1, 50), ("wal", 51, 1_500), ("newer", 1_501, 2_000)):
        async with SqliteLog(log_path) as log:
            await filled(log, first, last)
            copies[name] = leave_files_like_a_killed_process(log_path, tmp_path / name)
        if name != "wal":
            copies[name] = Path(shutil.copy(log_path, tmp_path / f"{name}.db"))
    left = copies["wal"]
    copy_onto(copies[made_at], left)

    with pytest.raises(CannotOpen):
        async with SqliteLog(left):
            pass


async def test_a_write_ahead_log_whose_file_is_gone_is_not_removed(log_path: Path, tmp_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 3)
        left = leave_files_like_a_killed_process(log_path, tmp_path / "left")
    left.unlink()
    with pytest.raises(CannotOpen, match=r"is gone, but its write-ahead log log\.db-wal exists"):
        async with SqliteLog(left):
            pass
    assert beside(left, "wal").stat().st_size > 0
    assert not left.exists()


async def test_a_backup_put_in_place_of_the_log_at_rest_becomes_the_log(log_path: Path, tmp_path: Path) -> None:
    async with SqliteLog(log_path) as log:
        await filled(log, 1, 3)
        backup = (await SqliteLogBackup(log_path).backup(tmp_path / "backup", overwrite=False)).file
        await filled(log, 4, 5)
    copy_onto(backup, log_path)
    async with SqliteLog(log_path) as log, SqliteLog(log_path) as another:
        assert await SqliteCommitLog(another).tip() == 3
        await filled(log, 4, 4)
        assert (await SqliteLogProbe(another).probe()).ok
