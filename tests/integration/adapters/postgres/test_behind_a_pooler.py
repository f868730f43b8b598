"""The read database in PostgreSQL behind PgBouncer in transaction mode, where each transaction may use another session:
nothing may rely on what a session keeps, and nothing may be left in one."""

import asyncio
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from adapters.postgres.read_db import postgres_read_db
from adapters.sql.backend import SqlBackend
from adapters.sql.read_db import SqlReadDb, TimeLimits
from application.errors import RebuildRunning
from application.ports.post_views import PostFilter
from application.ports.read_db import ProjectionBatch, RowChanges
from contracts.maintained import maintained_in_sql
from contracts.post_views import PostViewsContract
from contracts.projection_store import ProjectionStoreContract
from contracts.read_db_handle import OpenReadDb, checkpoint, moves, post, post_id
from contracts.rebuilding import OpenMaintained, RebuildingContract
from contracts.sql_read_db import NewSqlReadDb, handle_of, query, read_db_opener, with_backend
from local.pgbouncer import PgBouncer
from running import embedded, postlog, ticks


@pytest.fixture
def pooled_url(pgbouncer: PgBouncer, fresh_postgres_url: str) -> str:
    return pgbouncer.url(fresh_postgres_url)


@pytest.fixture
def new_sql_database(pooled_url: str) -> NewSqlReadDb:
    return lambda: postgres_read_db(pooled_url, pool_size=4)


def ask_directly(url: str, statement: str) -> list[tuple[object, ...]]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


async def test_readers_and_a_projector_share_few_sessions(new_sql_database: NewSqlReadDb) -> None:
    """A statement that one session has prepared is unknown to the others."""
    async with new_sql_database() as database, new_sql_database() as another:
        await database.provisioning.provision()
        writer, reader = handle_of(database), handle_of(another)

        async def project() -> None:
            before = None
            for position in range(1, 31):
                after = checkpoint(position)
                changes = RowChanges(posts=[post(n, likes=position) for n in range(position, position + 30)])
                await writer.store.project(
                    ProjectionBatch(1, moves((before, after))), lambda _, changes=changes: changes
                )
                before = after

        async def read() -> None:
            for _ in range(50):
                await reader.views.posts(PostFilter(), 10, None)
                await reader.views.post(post_id(1))

        await asyncio.gather(project(), *(read() for _ in range(8)))
        assert await reader.store.checkpoints(1) == {0: checkpoint(30)}
        found = (await reader.views.post(post_id(30))).value
        assert found is not None
        assert found.post.likes == 30


async def test_nothing_is_left_in_a_session(
    pgbouncer: PgBouncer, fresh_postgres_url: str, new_sql_database: NewSqlReadDb
) -> None:
    settings = "SELECT name, setting FROM pg_settings WHERE name LIKE '%timeout' ORDER BY name"
    before = ask_directly(fresh_postgres_url, settings)
    async with new_sql_database() as database:
        await database.provisioning.provision()
        await handle_of(database).write(RowChanges(posts=[post(n) for n in range(100)]))
        async with database.generations.lock():
            pass
        await asyncio.gather(*(handle_of(database).views.posts(PostFilter(), 10, None) for _ in range(100)))
        for _ in range(20):
            pooled = pgbouncer.url(fresh_postgres_url)
            assert ask_directly(pooled, settings) == before
            assert ask_directly(pooled, "SELECT name FROM pg_prepared_statements") == []
    assert ask_directly(fresh_postgres_url, "SELECT * FROM pg_locks WHERE locktype = 'advisory'") == []


async def test_a_transaction_that_is_stopped_is_ended_by_the_server(new_sql_database: NewSqlReadDb) -> None:
    async with new_sql_database() as database:
        assert await with_backend(database, _timeouts) == ("1min", "1min")


def _timeouts(backend: SqlBackend) -> tuple[str, str]:
    with backend.writing() as connection:
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        first, second = (connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names)
        return first, second


async def test_the_lock_of_rebuilds_is_held_by_one_and_ends_with_it(
    fresh_postgres_url: str, pooled_url: str, new_sql_database: NewSqlReadDb
) -> None:
    async with (
        new_sql_database() as database,
        postgres_read_db(pooled_url, pool_size=4, limits=TimeLimits(lock=0.1)) as another,
    ):
        await database.provisioning.provision()
        for _ in range(5):
            async with database.generations.lock():
                assert await another.generations.is_locked()
                with pytest.raises(RebuildRunning):
                    async with another.generations.lock():
                        pass
                await use_every_session(another)
                assert await another.generations.is_locked()
            assert not await another.generations.is_locked()
    assert ask_directly(fresh_postgres_url, "SELECT * FROM pg_locks WHERE locktype = 'advisory'") == []


async def use_every_session(database: SqlReadDb) -> None:
    await asyncio.gather(*(query(database, "SELECT pg_sleep(0.01)") for _ in range(4)))


@pytest.mark.long
def test_a_service_runs_and_rebuilds_behind_it(pooled_url: str, tmp_path: Path) -> None:
    env = {"POSTLOG__READ_DB__ADAPTER": "postgres", "POSTLOG__READ_DB__POSTGRES__URL": pooled_url}
    in_folder = env | {"POSTLOG_DATA": str(tmp_path)}
    assert postlog("init", env=in_folder).returncode == 0
    with embedded(tmp_path, **env) as (running, address), httpx.Client(base_url=address, timeout=20) as client:
        for n in range(20):
            assert client.post("/api/v1/posts", json={"author": "Ann", "message": f"{n}"}).is_success
        for _ in ticks(60, f"no rows:\n{running.printed}"):
            answer = client.get("/api/v1/read-db")
            if answer.is_success and answer.json()["position"] == 20:
                break
        statuses = {client.get("/api/v1/posts").status_code for _ in range(400)}
        rebuilt = postlog("rebuild", env=in_folder)
        statuses |= {client.get("/api/v1/posts").status_code for _ in range(100)}
        assert (statuses, rebuilt.returncode) == ({200}, 0), rebuilt.stdout + rebuilt.stderr
        assert postlog("doctor", env=in_folder).returncode == 0
        assert postlog("audit", env=in_folder).returncode == 0


# The contracts, behind a pooler


@pytest.fixture
def open_read_db(new_sql_database: NewSqlReadDb) -> OpenReadDb:
    return read_db_opener(new_sql_database)


@pytest.fixture
def open_maintained(pooled_url: str) -> OpenMaintained:
    return maintained_in_sql(lambda: postgres_read_db(pooled_url, pool_size=4))


@pytest.mark.long
class TestProjectionStore(ProjectionStoreContract):
    pass


@pytest.mark.long
class TestPostViews(PostViewsContract):
    pass


@pytest.mark.long
class TestRebuilding(RebuildingContract):
    pass
