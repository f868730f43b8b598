"""The read database in SQL Server when connections break, servers are unreachable and others hold locks."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import event, make_url

from adapters.sql.backend import SqlBackend
from adapters.sql.read_db import SqlReadDb
from adapters.sqlserver import engine
from adapters.sqlserver.read_db import sqlserver_read_db
from application.errors import CannotOpen, ReadDbUnavailable
from application.ports.post_views import PostFilter
from application.ports.read_db import CheckpointMoved, ProjectionBatch, RowChanges, RowKeys, Rows
from contracts.read_db_handle import ReadDbHandle, checkpoint, comment, moves, parked, post, post_id
from contracts.sql_read_db import all_methods, handle_of, with_backend
from contracts.waiting import eventually

Connect = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
async def database(new_read_db_url: str) -> AsyncIterator[SqlReadDb]:
    async with sqlserver_read_db(new_read_db_url, pool_size=4) as database:
        yield database


@pytest.fixture
def read_db(database: SqlReadDb) -> ReadDbHandle:
    return handle_of(database)


def plus_one_like(rows: Rows) -> RowChanges:
    return RowChanges(posts=[row._replace(likes=row.likes + 1) for row in rows.posts.values()])


# Broken connections


class Sessions:
    """Those of a read database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._of: dict[int, int] = {}

    @classmethod
    async def of(cls, database: SqlReadDb, connect: Connect) -> "Sessions":
        sessions = cls(connect)

        def listen(backend: SqlBackend) -> None:
            event.listen(backend.engine, "checkout", sessions._note)

        await with_backend(database, listen)
        return sessions

    def end(self) -> None:
        with self._connect() as admin:
            admin.autocommit = True
            while self._of:
                admin.execute(f"KILL {self._of.popitem()[1]}")

    def _note(self, connection: Any, _entry: object, _proxy: object) -> None:
        if id(connection) not in self._of:
            self._of[id(connection)] = connection.execute("SELECT @@SPID").fetchval()


@pytest.mark.parametrize("count", [1, 500], ids=["one row", "many rows"])
async def test_a_connection_that_breaks_in_the_middle_of_a_batch_is_no_failure(
    database: SqlReadDb, read_db: ReadDbHandle, connect: Connect, count: int
) -> None:
    sessions = await Sessions.of(database, connect)
    folds = 0

    def fold(rows: Rows) -> RowChanges:
        nonlocal folds
        folds += 1
        if folds == 1:
            sessions.end()
        return RowChanges(posts=[post(n) for n in range(count)])

    await read_db.store.project(ProjectionBatch(1, moves((None, checkpoint(1)))), fold)
    assert folds == 2
    assert await read_db.store.checkpoints(1) == {0: checkpoint(1)}
    assert len((await read_db.rows(map(post_id, range(count)))).posts) == count


async def test_callers_do_not_notice_that_all_connections_broke(
    database: SqlReadDb, read_db: ReadDbHandle, connect: Connect
) -> None:
    sessions = await Sessions.of(database, connect)
    await read_db.write(RowChanges(posts=[post(1)]))
    await asyncio.gather(*(read_db.views.posts(PostFilter(), 10, None) for _ in range(8)))
    sessions.end()
    answers = await asyncio.gather(*(read_db.views.posts(PostFilter(), 10, None) for _ in range(8)))
    assert [answer.value for answer in answers] == [[post(1)]] * 8
    sessions.end()
    await read_db.write(RowChanges(posts=[post(2)]))


async def test_a_value_that_is_missing_does_not_end_the_transaction(read_db: ReadDbHandle) -> None:
    """A checkpoint without topic comes last. For it pyodbc would ask the server a question, and one server was seen to
    roll back everything before it."""
    on_topic = checkpoint(1, topic_id="topic", offset=3)
    await read_db.store.project(ProjectionBatch(1, moves((None, on_topic))), lambda _: RowChanges())
    changes = RowChanges(
        posts=[post(1), post(2)],
        comments=[comment(1, 1), comment(2, 1), comment(2, 2)],
        comments_removed=[(post_id(1), comment(1, 9).comment_id)],
        parked=[parked(1), parked(2)],
    )
    await read_db.store.project(ProjectionBatch(1, moves((on_topic, checkpoint(2)))), lambda _: changes)
    rows = await read_db.rows([post_id(1), post_id(2)], [(row.post_id, row.comment_id) for row in changes.comments])
    assert (len(rows.posts), len(rows.comments), len(rows.parked)) == (2, 3, 2)
    assert await read_db.store.checkpoints(1) == {0: checkpoint(2)}


# Locks


async def test_a_lock_that_is_not_granted_in_time_is_requested_again(
    database: SqlReadDb, read_db: ReadDbHandle, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_SESSION", engine._SESSION.replace("LOCK_TIMEOUT 30000", "LOCK_TIMEOUT 100"))
    await read_db.write(RowChanges(posts=[post(1)]))
    folds = 0
    with connect() as rival:
        rival.execute("UPDATE posts_a SET likes = 5")

        def fold(rows: Rows) -> RowChanges:
            nonlocal folds
            folds += 1
            if folds == 2:
                rival.commit()
            return RowChanges(posts=[post(1, likes=folds)])

        await read_db.store.project(ProjectionBatch(1, moves((checkpoint(1), checkpoint(2)))), fold)
    assert folds == 2
    assert (await read_db.rows([post_id(1)])).posts[post_id(1)].likes == 2


async def test_a_batch_that_is_the_victim_of_a_deadlock_is_retried(
    database: SqlReadDb, read_db: ReadDbHandle, connect: Connect
) -> None:
    await read_db.write(RowChanges(posts=[post(1)]))
    wants_post = threading.Event()

    def listen(backend: SqlBackend) -> None:
        event.listen(backend.engine, "before_cursor_execute", note)

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE posts_a"):
            wants_post.set()

    def want_checkpoint(rival: Any) -> None:
        assert wants_post.wait(10)
        for _ in range(50):  # the batch's wait has begun when it is over: some servers end that of who waited longer
            rival.execute("SELECT 1").fetchval()
        rival.execute("UPDATE checkpoints SET position = position")
        rival.commit()

    folds = 0
    await with_backend(database, listen)
    with connect() as rival:
        rival.execute("SET DEADLOCK_PRIORITY HIGH")

        def fold(rows: Rows) -> RowChanges:
            nonlocal folds
            folds += 1
            if folds == 1:
                rival.execute("UPDATE posts_a SET likes = 5")
                asyncio.run_coroutine_threadsafe(asyncio.to_thread(want_checkpoint, rival), loop)
            return plus_one_like(rows)

        loop = asyncio.get_running_loop()
        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2))), RowKeys([post_id(1)], ()))
        await read_db.store.project(batch, fold)
    assert folds > 1
    assert (await read_db.rows([post_id(1)])).posts[post_id(1)].likes == 6


async def test_an_endless_statement_is_aborted(
    new_read_db_url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_STATEMENT_SECONDS", 3)
    async with sqlserver_read_db(new_read_db_url, pool_size=1) as database:
        read_db = handle_of(database)
        await read_db.write(RowChanges(posts=[post(1)]))
        with connect() as rival:
            rival.execute("UPDATE checkpoints SET position = position")
            with pytest.raises(ReadDbUnavailable, match="Query timeout expired"):
                await read_db.store.project(ProjectionBatch(1, moves((checkpoint(1), checkpoint(2)))), plus_one_like)
            rival.rollback()
        await read_db.write(RowChanges(posts=[post(2)]))


# Swaps


async def _asks_for(database: SqlReadDb, beginning: str) -> threading.Event:
    """Set when a statement that begins so is sent."""
    is_sent = threading.Event()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(beginning):
            is_sent.set()

    await with_backend(database, lambda backend: event.listen(backend.engine, "before_cursor_execute", note))
    return is_sent


async def test_a_batch_that_waited_behind_a_swap_is_refused(
    database: SqlReadDb, read_db: ReadDbHandle, connect: Connect
) -> None:
    """A swap locks the checkpoints of the live generation, and changes the live row only."""
    await read_db.write(RowChanges(posts=[post(1)]))
    waits = await _asks_for(database, "UPDATE checkpoints")
    with connect() as swap:
        swap.execute("UPDATE checkpoints SET position = position")
        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2))))
        late = asyncio.create_task(read_db.store.project(batch, lambda _: RowChanges(posts=[post(2)])))
        await eventually(_is(waits))
        swap.execute("UPDATE read_db SET generation = 2, slot = 'b'")
        swap.commit()
    with pytest.raises(CheckpointMoved):
        await late
    with connect() as people:
        assert people.execute("SELECT count(*) FROM posts_a").fetchval() == 1
        assert people.execute("SELECT count(*) FROM posts_b").fetchval() == 0


@pytest.mark.parametrize("partition", [0, 1], ids=["the first partition", "one more partition"])
async def test_a_partition_that_begins_while_a_swap_is_under_way_waits_and_is_refused(
    database: SqlReadDb, read_db: ReadDbHandle, connect: Connect, partition: int
) -> None:
    """It has no checkpoint that the swap could have locked."""
    if partition:
        await read_db.write(RowChanges())
    waits = await _asks_for(database, "UPDATE read_db")
    with connect() as swap:
        swap.execute("UPDATE read_db SET ready = ready")
        swap.execute("UPDATE checkpoints SET position = position")
        batch = ProjectionBatch(1, moves((None, checkpoint(2, partition))))
        late = asyncio.create_task(read_db.store.project(batch, lambda _: RowChanges(posts=[post(2)])))
        await eventually(_is(waits))
        swap.execute("UPDATE read_db SET generation = 2, slot = 'b'")
        swap.commit()
    with pytest.raises(CheckpointMoved):
        await late


def _is(waits: threading.Event) -> Callable[[], Any]:
    async def ask() -> bool:
        return waits.is_set()

    return ask


async def test_readers_do_not_wait_for_a_swap_where_statements_read_snapshots(
    read_db: ReadDbHandle, connect: Connect
) -> None:
    await read_db.write(RowChanges(posts=[post(1)]))
    with connect() as swap:
        if not swap.execute(engine._SNAPSHOT_OPTIONS).fetchone()[0]:
            pytest.skip("This database was made without READ_COMMITTED_SNAPSHOT, so its readers wait for writers.")
        swap.execute("UPDATE read_db SET generation = 2, slot = 'b'")
        assert (await read_db.views.post(post_id(1))).stamp.generation == 1
        swap.commit()
    assert (await read_db.views.post(post_id(1))).stamp.generation == 2


# Unreachable servers


async def test_an_unreachable_server_is_named_with_its_setting_and_without_its_password(
    sqlserver_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LOGIN_SECONDS", 1)
    url = make_url(sqlserver_url).set(port=1, username="ann", password="s3cr%t;}{", database="posts")
    async with sqlserver_read_db(url.render_as_string(hide_password=False), pool_size=13) as database:
        for error in await all_methods(database):
            assert isinstance(error, ReadDbUnavailable)
            assert error.path == "read_db.sqlserver.url"
            assert error.message.startswith(
                f"The read database posts on {url.host}:1 (read_db.sqlserver.url) does not answer: "
            )
            assert "s3cr" not in f"{error.message} {error.__cause__}"
        probe = await database.probe.probe()
        assert not probe.ok
        assert "read_db.sqlserver.url" in probe.detail


async def test_a_wrong_password_is_reported_and_not_shown(new_read_db_url: str) -> None:
    url = make_url(new_read_db_url).set(password="wr0ng").render_as_string(hide_password=False)
    async with sqlserver_read_db(url, pool_size=1) as database:
        with pytest.raises(ReadDbUnavailable, match="reported an error: Login failed for user") as caught:
            await database.post_views.stamp()
        assert "wr0ng" not in f"{caught.value.message} {caught.value.__cause__}"


async def test_a_database_that_does_not_exist_is_reported(new_read_db_url: str) -> None:
    url = make_url(new_read_db_url).set(database="nowhere").render_as_string(hide_password=False)
    async with sqlserver_read_db(url, pool_size=1) as database:
        with pytest.raises(ReadDbUnavailable, match="The read database nowhere on"):
            await database.post_views.stamp()


@pytest.mark.parametrize("driver", ["/nowhere/libmsodbcsql.so", "ODBC Driver 99 for SQL Server", "/etc/passwd"])
async def test_a_missing_driver_is_reported_at_once(new_read_db_url: str, driver: str) -> None:
    url = make_url(new_read_db_url).update_query_dict({"driver": driver}).render_as_string(hide_password=False)
    database = sqlserver_read_db(url)
    with pytest.raises(CannotOpen) as caught:
        await database.__aenter__()
    assert f"its ODBC driver '{driver}' can't be loaded" in caught.value.message
    assert caught.value.path == "read_db.sqlserver.url"


# Rights


async def test_a_login_that_may_not_read_is_reported(new_read_db_url: str, connect: Connect) -> None:
    url = make_url(new_read_db_url)
    login = f"nobody_{url.database}"
    with connect() as admin:
        admin.autocommit = True
        admin.execute(f"CREATE LOGIN {login} WITH PASSWORD = 'N0body-knows', DEFAULT_DATABASE = {url.database}")
        admin.execute(f"CREATE USER {login} FOR LOGIN {login}")
        try:
            nobody = url.set(username=login, password="N0body-knows").render_as_string(hide_password=False)
            async with sqlserver_read_db(nobody, pool_size=1) as database:
                with pytest.raises(ReadDbUnavailable, match="permission"):
                    await database.post_views.stamp()
        finally:
            admin.execute(f"DROP USER {login}")
            admin.execute(f"DROP LOGIN {login}")
