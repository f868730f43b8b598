"""A read database in a file creates its file and tables, and reports what is wrong with the file."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sql.read_db import SqlReadDb
from adapters.sqlite import read_db_file
from adapters.sqlite.log_file import SqliteLog
from adapters.sqlite.read_db import sqlite_read_db
from application.errors import CannotOpen, ReadDbUnavailable
from application.ports.read_db import ProjectionBatch, RowChanges, Rows
from contracts.read_db_handle import checkpoint, moves, post, post_id
from contracts.sql_read_db import handle_of

BATCH = ProjectionBatch(1, moves((None, checkpoint(1))))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "read db #1 100%?.sqlite"


async def test_opening_creates_the_folder_the_file_and_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "some" / "folder" / "read.db"
    async with sqlite_read_db(path) as database:
        assert path.exists()
        assert (await database.projection_store.live()).generation == 1


async def test_what_was_written_is_there_when_it_is_opened_again(path: Path) -> None:
    for position in (1, 2):
        async with sqlite_read_db(path) as database:
            await handle_of(database).write(RowChanges(posts=[post(position)]))
    async with sqlite_read_db(path) as database:
        assert len((await handle_of(database).rows([post_id(1), post_id(2)])).posts) == 2
        assert (await database.post_views.stamp()).position == 2


async def test_a_copy_of_it_has_another_id_and_another_path_to_it_the_same(path: Path, tmp_path: Path) -> None:
    async with sqlite_read_db(path) as database:
        known_by = await database.projection_store.database_id()
    copy, link = tmp_path / "copy.sqlite", tmp_path / "link.sqlite"
    shutil.copyfile(path, copy)
    link.symlink_to(path)
    found = []
    for other in (copy, link):
        async with sqlite_read_db(other) as database:
            found.append(await database.projection_store.database_id())
    assert (found[0] != known_by, found[1]) == (True, known_by)


async def test_rows_are_not_written_into_a_file_that_was_removed(path: Path) -> None:
    """They would be gone when the process ends; as long as the file is missing, the projector waits."""
    async with sqlite_read_db(path) as database:
        await handle_of(database).write(RowChanges(posts=[post(1)]))
        path.unlink()
        with pytest.raises(ReadDbUnavailable, match="unable to open database file"):
            await handle_of(database).write(RowChanges(posts=[post(2)]))
        with pytest.raises(ReadDbUnavailable, match="unable to open database file"):
            await database.post_views.stamp()


async def test_a_file_that_was_replaced_is_read_and_written(path: Path, tmp_path: Path) -> None:
    """As when another process has computed the rows again: nobody is answered from the old ones."""
    other = tmp_path / "other.sqlite"
    async with sqlite_read_db(other) as database:
        await handle_of(database).write(RowChanges(posts=[post(2)]))
    async with sqlite_read_db(path) as database:
        await handle_of(database).write(RowChanges(posts=[post(1)]))
        other.replace(path)
        for beside in ("-wal", "-shm"):
            path.with_name(f"{path.name}{beside}").unlink(missing_ok=True)
        rows = await handle_of(database).rows([post_id(1), post_id(2)])
        assert list(rows.posts) == [post_id(2)]
        await handle_of(database).write(RowChanges(posts=[post(3)]))
    async with sqlite_read_db(path) as database:
        rows = await handle_of(database).rows([post_id(1), post_id(2), post_id(3)])
        assert len(rows.posts) == 2


async def test_processes_that_start_at_once_all_open_it(tmp_path: Path) -> None:
    """SQLite refuses some of them the change to a write-ahead log; which, is chance."""
    start = threading.Barrier(4)

    def prepare(path: Path) -> None:
        start.wait(10)
        read_db_file.prepare(path)

    for number in range(50):
        path = tmp_path / f"{number}.db"
        await asyncio.gather(*(asyncio.to_thread(prepare, path) for _ in range(4)))


async def test_processes_that_start_at_once_create_the_tables_once(path: Path) -> None:
    async def live(database: SqlReadDb) -> int:
        async with database:
            return (await database.projection_store.live()).generation

    assert await asyncio.gather(*(live(sqlite_read_db(path)) for _ in range(4))) == [1, 1, 1, 1]


async def test_a_process_that_checked_before_another_created_the_file_opens_it_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    look = read_db_file._application_id

    def note(connection: sqlite3.Connection) -> int:
        found = look(connection)
        looked.set()
        return found

    with closing(read_db_file.open_connection(path, "rwc")) as first:
        first.execute("BEGIN IMMEDIATE")
        first.execute(f"PRAGMA application_id = {read_db_file._APPLICATION_ID}")
        first.execute("CREATE TABLE posts (post_id TEXT)")
        monkeypatch.setattr(read_db_file, "_application_id", note)
        preparing = asyncio.create_task(asyncio.to_thread(read_db_file.prepare, path))
        assert await asyncio.to_thread(looked.wait, 10)
        first.execute("COMMIT")
    await preparing

    with closing(read_db_file.open_connection(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("posts",)]


async def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    async with sqlite_read_db(path) as database:
        await handle_of(database).write(RowChanges(posts=[post(1)]))
        with writing(path):
            assert (await database.post_views.post(post_id(1))).value is not None


async def test_a_batch_waits_for_another_process_that_writes(path: Path) -> None:
    """Before it reads: what it reads must be what it replaces."""
    folded = threading.Event()

    def fold(rows: Rows) -> RowChanges:
        folded.set()
        return RowChanges(posts=[post(1)])

    async with sqlite_read_db(path) as database:
        store = database.projection_store
        await handle_of(database).write(RowChanges())
        with writing(path):
            batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2))))
            projecting = asyncio.create_task(store.project(batch, fold))
            for _ in range(20):
                await database.post_views.stamp()
            assert not folded.is_set()
        await projecting
        assert list((await handle_of(database).rows([post_id(1)])).posts) == [post_id(1)]


async def test_a_file_that_stays_busy_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_db_file, "_BUSY_SECONDS", 0.01)
    monkeypatch.setattr("adapters.sql.database._RETRY_SECONDS", 0.2)
    async with sqlite_read_db(path) as database:
        store = database.projection_store
        await store.live()
        with writing(path), pytest.raises(ReadDbUnavailable) as caught:
            await store.project(BATCH, lambda _: RowChanges())
        assert caught.value.message == (
            f"The read database {path} (read_db.sqlite.path) does not answer: database is locked."
        )
        await store.project(BATCH, lambda _: RowChanges())


async def test_a_file_that_vanished_is_not_created_again(path: Path) -> None:
    async with sqlite_read_db(path) as database:
        path.unlink()
        with pytest.raises(ReadDbUnavailable, match=r"read_db\.sqlite\.path\) does not answer: unable to open"):
            await database.projection_store.live()
        assert not path.exists()


@pytest.mark.parametrize("place", ["a-file/read.db", "."])
async def test_a_place_that_can_hold_no_file_is_refused_at_once(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("no folder")
    with pytest.raises(CannotOpen) as caught:
        await sqlite_read_db(tmp_path / place).__aenter__()
    assert caught.value.path == "read_db.sqlite.path"
    assert str(tmp_path / place) in caught.value.message
    assert "name another file in read_db.sqlite.path" in caught.value.message
    assert not any(thread.name.startswith("postlog-read-db") for thread in threading.enumerate())


async def test_a_file_that_is_not_writable_is_refused_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said by the system, since tests may run as root, who may write everywhere."""
    monkeypatch.setattr("os.access", lambda place, _: place != path)
    with pytest.raises(CannotOpen, match=r"is not writable\. Check the file"):
        await sqlite_read_db(path).__aenter__()


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_text("some notes of mine, long enough to be no header of a database")
    with pytest.raises(CannotOpen, match="file is not a database"):
        await sqlite_read_db(path).__aenter__()
    assert path.read_text().startswith("some notes of mine")


async def test_somebody_elses_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (id integer)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CannotOpen, match="no read database of Postlog"):
        await sqlite_read_db(path).__aenter__()
    assert path.read_bytes() == before


async def test_the_logs_file_is_refused(path: Path) -> None:
    async with SqliteLog(path):
        with pytest.raises(CannotOpen, match="no read database of Postlog"):
            await sqlite_read_db(path).__aenter__()


def test_a_process_that_starts_imports_neither_sqlalchemy_before_it_is_needed_nor_alembic(tmp_path: Path) -> None:
    """Neither the first time, when tables are made, nor later."""
    script = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from adapters.sqlite.read_db import sqlite_read_db

def imported(*names):
    return {name for name in names if name in sys.modules}

async def main():
    async with sqlite_read_db(Path(sys.argv[2])) as database:
        assert not imported("sqlalchemy", "alembic"), "before the first use"
        await database.projection_store.live()
        assert imported("sqlalchemy", "alembic", "psycopg", "pyodbc") == {"sqlalchemy"}

asyncio.run(main())
"""
    source = Path(__file__).parents[4] / "src"
    for _ in range(2):
        command = [sys.executable, "-c", script, str(source), str(tmp_path / "read.db")]
        done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


class writing:  # noqa: N801 - reads as `with writing(path)`
    """Another process in the middle of a transaction."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


async def test_a_lock_file_that_can_not_be_created_is_reported(path: Path) -> None:
    async with sqlite_read_db(path) as database:
        path.with_name(f"{path.name}.rebuild-lock").mkdir()
        with pytest.raises(
            ReadDbUnavailable, match=r"rebuild-lock \(read_db\.sqlite\.path\), can't be taken: Is a dir"
        ):
            await database.generations.is_locked()
