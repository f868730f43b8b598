"""Backup and restore of the log's file."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite.commit_log import SqliteCommitLog
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.log_backup import SqliteLogBackup
from adapters.sqlite.log_file import SqliteLog
from application.errors import BackupRefused, CannotOpen
from application.ports.event_store import Appended
from contracts.log_handle import POST_A, POST_B, proposed, with_data

APPENDING = Path(__file__).with_name("appending_process.py")


async def filled(path: Path, first: int, last: int) -> str:
    """Returns the log's id."""
    async with SqliteLog(path) as log:
        for start in range(first, last + 1, 20):
            group = [with_data(POST_A, v, {"message": "x" * 2_000}) for v in range(start, min(start + 20, last + 1))]
            assert all(isinstance(each, Appended) for each in await SqliteEventStore(log).append(group))
        return await SqliteCommitLog(log).log_id()


async def tip(path: Path) -> int:
    async with SqliteLog(path) as log:
        return await SqliteCommitLog(log).tip()


def changed_by_hand(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("DROP TRIGGER commits_are_never_changed", "DROP TRIGGER commits_are_never_deleted"):
            connection.execute(statement)
        for statement in statements:
            connection.execute(statement)


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 4 * 4_096)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


# Backup


async def test_a_backup_during_writes_is_complete_up_to_one_position(log_path: Path, backups: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, str(APPENDING), str(log_path), POST_A, stdout=PIPE)
    assert process.stdout is not None
    try:
        for number in range(5):
            acknowledged = int((await process.stdout.readline()).split()[0])
            copy = await SqliteLogBackup(log_path).backup(backups / str(number), overwrite=False)
            assert copy.position >= acknowledged
            assert copy.gaps == []
            with closing(sqlite3.connect(copy.file)) as connection:
                counts = connection.execute("SELECT count(*), max(position) FROM commits").fetchone()
            assert counts == (copy.position, copy.position)
    finally:
        process.kill()
        await process.communicate()
    assert names_in(backups) == ["0", "1", "2", "3", "4"]


async def test_a_backup_is_for_its_owner_only(log_path: Path, backups: Path) -> None:
    await filled(log_path, 1, 1)
    before = os.umask(0)
    try:
        copy = await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    finally:
        os.umask(before)
    assert copy.file.stat().st_mode & 0o777 == 0o600


async def test_a_backup_gets_its_name_when_it_is_on_the_disk(
    log_path: Path, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(log_path, 1, 1)
    seen: list[bool] = []
    original = os.fsync

    def fsync(handle: int) -> None:
        seen.append((backups / "b").exists())
        original(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    assert seen == [False, True]  # the file before it is renamed, the folder afterwards


async def test_an_existing_file_is_replaced_only_with_overwrite(log_path: Path, backups: Path) -> None:
    await filled(log_path, 1, 3)
    (backups / "b").write_text("dear diary", encoding="utf-8")
    with pytest.raises(BackupRefused, match="exists already; name another file, or replace it with --overwrite"):
        await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    assert (backups / "b").read_text(encoding="utf-8") == "dear diary"
    assert (await SqliteLogBackup(log_path).backup(backups / "b", overwrite=True)).position == 3
    assert names_in(backups) == ["b"]


async def test_the_log_itself_is_refused_as_the_backup_file(log_path: Path) -> None:
    await filled(log_path, 1, 3)
    for name in (log_path, log_path.parent / "." / log_path.name):
        with pytest.raises(BackupRefused, match="is the log itself"):
            await SqliteLogBackup(log_path).backup(name, overwrite=True)
        with pytest.raises(BackupRefused, match="is the log itself"):
            await SqliteLogBackup(log_path).restore(name)
    assert await tip(log_path) == 3


async def test_a_backup_never_replaces_a_database_in_use(log_path: Path, backups: Path) -> None:
    await filled(log_path, 1, 3)
    async with SqliteLog(backups / "other") as other:
        await SqliteEventStore(other).append([proposed(POST_B)])
        with pytest.raises(BackupRefused, match="has a write-ahead log"):
            await SqliteLogBackup(log_path).backup(backups / "other", overwrite=True)


async def test_a_damaged_log_is_not_backed_up_and_nothing_is_left(log_path: Path, backups: Path) -> None:
    await filled(log_path, 1, 100)
    await SqliteLogBackup(log_path).backup(backups / "good", overwrite=False)
    damage(log_path)
    with pytest.raises(BackupRefused, match=r"log\.db is damaged|log\.db can't be copied"):
        await SqliteLogBackup(log_path).backup(backups / "good", overwrite=True)
    assert names_in(backups) == ["good"]
    assert (await SqliteLogBackup(log_path).restore(backups / "good")).position == 100


async def test_a_missing_log_is_refused_and_not_created(log_path: Path, backups: Path) -> None:
    with pytest.raises(BackupRefused, match="There is no event log"):
        await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    assert not log_path.exists()


async def test_a_cancelled_backup_leaves_nothing(
    log_path: Path, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(log_path, 1, 500)
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    original = sqlite3.connect

    class Slow(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            if sql.startswith("VACUUM"):
                loop.call_soon_threadsafe(reached.set)
                counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
                super().execute(counting).fetchone()  # without end, unless it is interrupted
            return super().execute(sql, *parameters)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: original(*args, **kwargs, factory=Slow))
    backing_up = asyncio.create_task(SqliteLogBackup(log_path).backup(backups / "b", overwrite=False))
    await reached.wait()
    backing_up.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await backing_up
    assert names_in(backups) == []


async def test_a_log_with_a_gap_is_backed_up_with_a_warning_and_not_restored(log_path: Path, backups: Path) -> None:
    await filled(log_path, 1, 9)
    changed_by_hand(log_path, "DELETE FROM commits WHERE position = 5")
    copy = await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    gaps = ["the commit at position 5 is missing", f"of post {POST_A} version 5 is missing"]
    assert (copy.position, copy.gaps) == (9, gaps)
    with pytest.raises(BackupRefused, match="is not a complete log: the commit at position 5 is missing"):
        await SqliteLogBackup(log_path).restore(backups / "b")


# Restore


async def test_a_restored_log_is_that_of_the_backup_and_the_other_one_is_kept(log_path: Path, backups: Path) -> None:
    log_id = await filled(log_path, 1, 30)
    await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    await filled(log_path, 31, 50)
    log_path.chmod(0o640)

    restored = await SqliteLogBackup(log_path).restore(backups / "b")

    assert (restored.log_id, restored.position) == (log_id, 30)
    assert log_path.stat().st_mode & 0o777 == 0o640
    assert await tip(log_path) == 30
    assert restored.kept is not None
    assert await tip(restored.kept) == 50
    assert names_in(backups) == ["b"]


async def test_the_write_ahead_log_of_a_killed_process_is_kept_with_its_file(log_path: Path, backups: Path) -> None:
    async with SqliteLog(log_path) as log:
        await SqliteEventStore(log).append([proposed(POST_A)])
        await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
        await SqliteEventStore(log).append([proposed(POST_B)])
        left = backups / "left"
        left.mkdir()
        for name in ("log.db", "log.db-wal", "log.db-shm"):
            shutil.copy(log_path.with_name(name), left / name)

    restored = await SqliteLogBackup(left / "log.db").restore(backups / "b")

    assert restored.kept is not None
    assert names_in(left) == ["log.db", restored.kept.name, f"{restored.kept.name}-wal"]
    assert await tip(left / "log.db") == 1
    assert await tip(restored.kept) == 2


async def test_a_log_is_restored_where_there_is_none(log_path: Path, backups: Path) -> None:
    await filled(log_path, 1, 4)
    await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    place = backups / "new" / "folder" / "log.db"
    restored = await SqliteLogBackup(place).restore(backups / "b")
    assert (restored.kept, await tip(place)) == (None, 4)


async def test_a_log_that_a_process_has_open_is_not_touched(log_path: Path, backups: Path) -> None:
    await filled(log_path, 1, 4)
    await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    process = await asyncio.create_subprocess_exec(sys.executable, str(APPENDING), str(log_path), POST_B, stdout=PIPE)
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        before = names_in(log_path.parent)
        with pytest.raises(BackupRefused, match=r"is open in another process\. Stop every process of Postlog"):
            await SqliteLogBackup(log_path).restore(backups / "b")
        assert names_in(log_path.parent) == before
        assert int((await process.stdout.readline()).split()[0]) > 4
    finally:
        process.kill()
        await process.communicate()


async def test_no_process_opens_the_log_while_it_is_restored(
    log_path: Path, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(log_path, 1, 4)
    await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
    found: list[str] = []
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT count(*) FROM commits')"
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target == log_path:
            ran = subprocess.run(
                [sys.executable, "-c", script, str(log_path)], capture_output=True, text=True, check=False
            )
            found.append(ran.stderr.splitlines()[-1])
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    await SqliteLogBackup(log_path).restore(backups / "b")
    assert found == ["sqlite3.OperationalError: database is locked"]


@pytest.mark.parametrize("kind", ["missing", "text", "other program", "newer", "damaged", "read database"])
async def test_an_unsound_file_is_not_restored_and_the_log_is_unchanged(
    log_path: Path, backups: Path, kind: str
) -> None:
    await filled(log_path, 1, 100)
    file = backups / "b"
    if kind == "text":
        file.write_text("dear diary " * 1_000, encoding="utf-8")
    elif kind == "other program":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE posts (id TEXT)")
    elif kind != "missing":
        await SqliteLogBackup(log_path).backup(file, overwrite=False)
    if kind == "newer":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version = 2")
    if kind == "read database":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA application_id = {0x504C5244}")
    if kind == "damaged":
        damage(file)
    before = log_path.read_bytes()

    with pytest.raises((BackupRefused, CannotOpen)) as refused:
        await SqliteLogBackup(log_path).restore(file)

    assert str(file) in refused.value.message
    assert log_path.read_bytes() == before
    assert names_in(log_path.parent) == ["backups", "log.db"]


async def test_an_interrupted_restore_is_detected_at_the_next_start_and_can_be_repeated(
    log_path: Path, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is in its place and the old write-ahead log beside it."""
    async with SqliteLog(log_path) as log:
        await SqliteEventStore(log).append([proposed(POST_A)])
        await SqliteLogBackup(log_path).backup(backups / "b", overwrite=False)
        await SqliteEventStore(log).append([proposed(POST_B)])
        left = backups / "left"
        left.mkdir()
        for name in ("log.db", "log.db-wal"):
            shutil.copy(log_path.with_name(name), left / name)

    with monkeypatch.context() as patched:
        patched.setattr("adapters.sqlite.log_backup._sync", _die_beside(left))
        patched.setattr(Path, "unlink", _die_beside(left))
        with pytest.raises(KeyboardInterrupt):
            await SqliteLogBackup(left / "log.db").restore(backups / "b")

    with pytest.raises(CannotOpen, match="belongs to another file"):
        await tip(left / "log.db")
    await SqliteLogBackup(left / "log.db").restore(backups / "b")
    assert await tip(left / "log.db") == 1


def _die_beside(folder: Path):
    def die(path: Path, *_: object, **__: object) -> None:
        if path in (folder / "log.db-wal", folder / "log.db-shm"):
            raise KeyboardInterrupt

    return die
