"""PostgreSQL in states that occur in real operation: each is reported in one sentence, with a remedy, until the
server's state is over. No answer of the server ends a process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import stamina
from sqlalchemy import make_url

from adapters.postgres.read_db import postgres_read_db
from adapters.sql.read_db import SqlReadDb
from application.errors import ReadDbUnavailable, SchemaOutdated
from application.ports.read_db import ProjectionBatch, RowChanges
from contracts.read_db_handle import LOG, NOON, checkpoint, moves, post, post_id
from contracts.sql_read_db import handle_of
from local.find import Servers
from running import embedded, postlog, ticks

BATCH = ProjectionBatch(1, moves((None, checkpoint(1))))


def plain(url: str, database: str | None = None) -> str:
    address = make_url(url)
    address = address.set(drivername="postgresql", database=database or address.database)
    return address.render_as_string(hide_password=False)


def as_admin(url: str, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
    """Each in a transaction of its own; the rows of the last one."""
    with psycopg.connect(plain(url, database), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def database_made_with(admin_url: str, options: str) -> Iterator[str]:
    name = f"odd_{abs(hash(options)) % 10**8}"
    as_admin(admin_url, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} {options}")
    try:
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    finally:
        as_admin(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


# Encodings


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_whose_encoding_can_not_hold_every_text_is_refused(postgres_url: str, encoding: str) -> None:
    options = f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    with database_made_with(postgres_url, options) as url:
        async with postgres_read_db(url, pool_size=1) as database:
            provisioning = database.provisioning
            for asked in (provisioning.provision(), provisioning.check(), database.post_views.stamp()):
                with pytest.raises(ReadDbUnavailable) as caught:
                    await asked
                assert caught.value.path == "read_db.postgres.url"
                assert f"reported an error: its encoding is {encoding}; " in caught.value.message
                assert "ENCODING 'UTF8' TEMPLATE template0" in caught.value.message
            probe = await database.probe.probe()
            assert (probe.ok, f"its encoding is {encoding}" in probe.detail) == (False, True)
    with database_made_with(postgres_url, "ENCODING 'UTF8' TEMPLATE template0") as url:  # as it says
        async with postgres_read_db(url, pool_size=1) as database:
            assert len(await database.provisioning.provision()) == 1


@pytest.mark.long
def test_init_and_doctor_refuse_such_a_database_before_anything_is_created(postgres_url: str, tmp_path: Path) -> None:
    with database_made_with(postgres_url, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0") as url:
        env = {
            "POSTLOG_DATA": str(tmp_path),
            "POSTLOG__READ_DB__ADAPTER": "postgres",
            "POSTLOG__READ_DB__POSTGRES__URL": url,
        }
        made, examined = postlog("init", env=env), postlog("doctor", env=env)
        assert as_admin(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    assert (made.returncode, examined.returncode) == (2, 2)
    for said in (made.stdout + made.stderr, examined.stdout):
        assert "its encoding is LATIN1; it can't hold every text" in said
        assert "Traceback" not in said


# Databases that take no writes


def writable(url: str, *, is_writable: bool) -> None:
    """For sessions that begin from now on."""
    name = make_url(url).database
    as_admin(
        url,
        f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if is_writable else 'on'}",
        database="postgres",
    )


def end_sessions(url: str) -> None:
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'"
    as_admin(url, ended.format(make_url(url).database), database="postgres")


async def test_a_read_only_database_is_reported_and_new_connections_recover(
    fresh_postgres_url: str,
) -> None:
    """A session that began while it was read-only stays so for its whole life."""
    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        provisioning, store = database.provisioning, database.projection_store
        await provisioning.provision()
        writable(fresh_postgres_url, is_writable=False)
        end_sessions(fresh_postgres_url)
        with pytest.raises(ReadDbUnavailable) as caught:
            await store.project(BATCH, lambda _: RowChanges(posts=[post(1)]))
        assert "reported an error: cannot execute " in caught.value.message
        assert "read-only transaction; it takes no writes now: after a failover" in caught.value.message
        for asked in (provisioning.provision(), provisioning.check()):
            with pytest.raises(ReadDbUnavailable, match="takes no writes: it is read-only"):
                await asked
        reader, projector = database.probe, database.writing_probe
        assert (await reader.probe()).ok
        assert not (await projector.probe()).ok
        assert (await database.post_views.stamp()).position == 0

        await asyncio.gather(*(database.post_views.stamp() for _ in range(4)))  # sessions that can only read
        writable(fresh_postgres_url, is_writable=True)
        with pytest.raises(ReadDbUnavailable):  # the last of the old sessions
            await store.project(BATCH, lambda _: RowChanges(posts=[post(1)]))
        await store.project(BATCH, lambda _: RowChanges(posts=[post(1)]))
        assert (await database.post_views.post(post_id(1))).value is not None
        assert (await projector.probe()).ok


@pytest.mark.long
async def test_a_failover_that_leaves_the_address_at_a_replica_is_reported_until_it_is_promoted(
    servers: Servers,
) -> None:
    """A real standby. Readers may use it; a projector waits."""
    primary = servers.own_postgres()
    async with postgres_read_db(primary.url, pool_size=2) as database:
        await database.provisioning.provision()
        await handle_of(database).write(RowChanges(posts=[post(1)]))
    standby = servers.own_postgres(primary)
    primary.kill()
    async with postgres_read_db(standby.url, pool_size=2) as database:
        batch = ProjectionBatch(1, moves((checkpoint(1), checkpoint(2))))
        assert (await database.post_views.post(post_id(1))).value is not None
        assert (await database.probe.probe()).ok
        with pytest.raises(ReadDbUnavailable, match="in a read-only transaction; it takes no writes now: after a"):
            await database.projection_store.project(batch, lambda _: RowChanges())
        assert "takes no writes: it is read-only" in (await database.writing_probe.probe()).detail
        with pytest.raises(ReadDbUnavailable, match="takes no writes: it is read-only"):
            await database.provisioning.provision()
        with pytest.raises(ReadDbUnavailable, match="reported an error: cannot "):
            await database.generations.begin(LOG, 1, NOON)
        standby.promote()
        await database.projection_store.project(batch, lambda _: RowChanges())
        assert (await database.writing_probe.probe()).ok
    # As the sentence says: the server that takes writes, among several.
    hosts = "&".join(f"host=127.0.0.1:{make_url(each.url).port}" for each in (primary, standby))
    several = make_url(f"postgresql+psycopg:///postgres?{hosts}&target_session_attrs=read-write")
    several = several.set(username="postgres", password=make_url(standby.url).password)
    async with postgres_read_db(several.render_as_string(hide_password=False), pool_size=2) as database:
        assert (await database.writing_probe.probe()).ok
        assert f":{make_url(standby.url).port}" in database.address.place


@pytest.mark.long
def test_commands_are_accepted_while_the_read_database_is_in_an_odd_state(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    """`postlog run`: the log accepts commands, the projector retries, and the rows follow when they can."""
    env = {"POSTLOG__READ_DB__ADAPTER": "postgres", "POSTLOG__READ_DB__POSTGRES__URL": fresh_postgres_url}
    assert postlog("init", env=env | {"POSTLOG_DATA": str(tmp_path)}).returncode == 0
    with embedded(tmp_path, **env) as (running, address), httpx.Client(base_url=address, timeout=20) as client:

        def create() -> int:
            answer = client.post("/api/v1/posts", json={"author": "Ann", "message": "Hello"})
            assert answer.status_code == httpx.codes.CREATED, answer.text
            position: int = answer.json()["position"]
            return position

        def rows_at(position: int) -> bool:
            answer = client.get("/api/v1/read-db")
            return answer.is_success and bool(answer.json()["position"] >= position)

        def until(holds: Callable[[], bool], otherwise: str) -> None:
            for _ in ticks(60, f"{otherwise}:\n{running.printed}"):
                if holds():
                    return

        until(lambda: rows_at(create()), "no rows")
        writable(fresh_postgres_url, is_writable=False)
        end_sessions(fresh_postgres_url)
        for _ in range(5):
            last = create()
        until(lambda: "takes no writes" in client.get("/health/ready").text, "readiness does not say it")
        until(lambda: "read-only transaction" in running.printed, "the projector does not say it")
        assert running.process.poll() is None
        assert client.get("/api/v1/posts").status_code == httpx.codes.OK
        doctor = postlog("doctor", env=env | {"POSTLOG_DATA": str(tmp_path)})
        assert doctor.returncode == 2
        assert "problem  read_db schema: The read database" in doctor.stdout
        assert "takes no writes: it is read-only" in doctor.stdout
        last = create()
        writable(fresh_postgres_url, is_writable=True)
        until(lambda: rows_at(last), "the rows do not follow")
        until(lambda: client.get("/health/ready").status_code == httpx.codes.OK, "not ready again")

        as_admin(fresh_postgres_url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        for _ in range(5):
            last = create()
        until(lambda: "has no tables yet" in client.get("/health/ready").text, "readiness does not say it")
        until(lambda: running.printed.count("has no tables yet") > 1, "the projector does not say it")
        missing = client.get("/api/v1/posts")
        assert (missing.status_code, missing.json()["code"]) == (503, "schema-outdated")
        assert postlog("init", env=env | {"POSTLOG_DATA": str(tmp_path)}).returncode == 0
        until(lambda: rows_at(last), "the rows do not follow")
        assert running.process.poll() is None
        assert "Traceback" not in running.printed


# Limits and losses


def make_login(url: str, login: str) -> None:
    as_admin(url, f"CREATE ROLE {login} LOGIN PASSWORD 'service'", f"GRANT ALL ON SCHEMA public TO {login}")


async def assert_reported_until_over(
    database: SqlReadDb, odd: Callable[[], None], words: str, over: Callable[[], None]
) -> None:
    """`odd` causes the state, which every later call reports in these words, until it is `over`."""
    handle = handle_of(database)
    odd()
    with pytest.raises((ReadDbUnavailable, SchemaOutdated)) as caught:
        await handle.store.project(BATCH, lambda _: RowChanges(posts=[post(1)]))
    assert words in caught.value.message, caught.value.message
    assert "read_db.postgres.url" in caught.value.message
    over()
    await database.provisioning.provision()
    await handle.store.project(BATCH, lambda _: RowChanges(posts=[post(1)]))
    assert (await handle.views.post(post_id(1))).value is not None


async def test_a_schema_that_is_dropped_underneath_is_reported_until_it_is_created_again(
    fresh_postgres_url: str,
) -> None:
    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        await database.provisioning.provision()

        def drop() -> None:
            as_admin(fresh_postgres_url, "DROP SCHEMA public CASCADE")

        def make() -> None:
            as_admin(fresh_postgres_url, "CREATE SCHEMA public")

        drop()
        with pytest.raises(
            ReadDbUnavailable, match=r"no schema has been selected to create in; the login's search_path"
        ):
            await database.provisioning.provision()
        await assert_reported_until_over(database, drop_nothing, "has no tables yet; run `postlog init`", make)


def drop_nothing() -> None:
    """It is gone already."""


async def test_a_database_that_is_dropped_and_created_again_underneath_is_reported(fresh_postgres_url: str) -> None:
    name = make_url(fresh_postgres_url).database

    def drop() -> None:
        as_admin(fresh_postgres_url, f"DROP DATABASE {name} WITH (FORCE)", database="postgres")

    def make() -> None:
        as_admin(fresh_postgres_url, f"CREATE DATABASE {name}", database="postgres")

    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        await database.provisioning.provision()
        await assert_reported_until_over(database, drop, f'database "{name}" does not exist; `postlog init`', make)


async def test_a_database_that_accepts_no_connections_is_reported(fresh_postgres_url: str) -> None:
    name = make_url(fresh_postgres_url).database

    def close() -> None:
        as_admin(fresh_postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", database="postgres")
        end_sessions(fresh_postgres_url)

    def open_again() -> None:
        as_admin(fresh_postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true", database="postgres")

    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        await database.provisioning.provision()
        await assert_reported_until_over(
            database, close, "is not currently accepting connections; ALTER DATABASE", open_again
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("CONNECTION LIMIT 0", "too many connections for role"),
        ("VALID UNTIL '2020-01-01'", "password authentication failed"),
        ("PASSWORD 'changed'", "password authentication failed for user"),
        ("NOLOGIN", "is not permitted to log in"),
        ("SET statement_timeout = '1ms'", ""),
    ],
)
async def test_a_login_that_is_changed_underneath_is_reported(fresh_postgres_url: str, change: str, words: str) -> None:
    login = f"odd_{make_url(fresh_postgres_url).database}"
    url = make_url(fresh_postgres_url).set(username=login, password="service").render_as_string(hide_password=False)
    reset = f"ALTER ROLE {login} LOGIN PASSWORD 'service' CONNECTION LIMIT -1 VALID UNTIL 'infinity'"
    make_login(fresh_postgres_url, login)
    try:
        async with postgres_read_db(url, pool_size=2) as database:
            await database.provisioning.provision()

            def odd() -> None:
                as_admin(fresh_postgres_url, f"ALTER ROLE {login} {change}")
                end_sessions(fresh_postgres_url)

            def over() -> None:
                as_admin(fresh_postgres_url, reset)

            if words:
                await assert_reported_until_over(database, odd, words, over)
            else:  # the sessions set what they need themselves
                odd()
                await database.post_views.stamp()
    finally:
        end_sessions(fresh_postgres_url)
        as_admin(fresh_postgres_url, f"DROP OWNED BY {login} CASCADE", f"DROP ROLE {login}")


async def test_a_server_at_its_connection_limit_is_reported(fresh_postgres_url: str) -> None:
    name = make_url(fresh_postgres_url).database

    def fill() -> None:
        as_admin(fresh_postgres_url, f"ALTER DATABASE {name} CONNECTION LIMIT 0", database="postgres")

    def make_room() -> None:
        as_admin(fresh_postgres_url, f"ALTER DATABASE {name} CONNECTION LIMIT -1", database="postgres")

    login = f"lim_{name}"
    url = make_url(fresh_postgres_url).set(username=login, password="service").render_as_string(hide_password=False)
    make_login(fresh_postgres_url, login)
    try:
        async with postgres_read_db(url, pool_size=2) as database:
            fill()
            with pytest.raises(ReadDbUnavailable, match="reported an error: too many connections for database"):
                await database.provisioning.provision()
            make_room()
            await database.provisioning.provision()
    finally:
        end_sessions(fresh_postgres_url)
        as_admin(fresh_postgres_url, f"DROP OWNED BY {login} CASCADE", f"DROP ROLE {login}")


async def test_a_cancelled_statement_is_reported(fresh_postgres_url: str) -> None:
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND state <> 'idle'"
    async with postgres_read_db(fresh_postgres_url, pool_size=1) as database:
        await database.provisioning.provision()
        with psycopg.connect(plain(fresh_postgres_url)) as rival:
            rival.execute("LOCK TABLE checkpoints")
            late = asyncio.create_task(database.projection_store.project(BATCH, lambda _: RowChanges()))
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
            while not await asyncio.to_thread(as_admin, fresh_postgres_url, waits):
                await asyncio.sleep(0.02)
            as_admin(fresh_postgres_url, cancel.format(make_url(fresh_postgres_url).database), database="postgres")
            with pytest.raises(ReadDbUnavailable, match="canceling statement due to user request; the statement took"):
                await late
        await database.projection_store.project(BATCH, lambda _: RowChanges())


# Rights


async def test_doctor_and_init_report_which_rights_a_login_lacks(fresh_postgres_url: str) -> None:
    login = f"odd_{make_url(fresh_postgres_url).database}"
    async with postgres_read_db(fresh_postgres_url, pool_size=1) as database:
        await database.provisioning.provision()
    as_admin(
        fresh_postgres_url,
        f"CREATE ROLE {login} LOGIN PASSWORD 'service'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {login}",
        f"GRANT TRUNCATE ON posts_a, posts_b, comments_a, comments_b TO {login}",
        f"REVOKE UPDATE ON checkpoints FROM {login}",
    )
    url = make_url(fresh_postgres_url).set(username=login, password="service").render_as_string(hide_password=False)
    try:
        async with postgres_read_db(url, pool_size=1) as database:
            for asked in (database.provisioning.check, database.provisioning.provision):
                with pytest.raises(
                    ReadDbUnavailable, match="the login may not UPDATE checkpoints; `postlog init` with"
                ):
                    await asked()
            as_admin(fresh_postgres_url, f"GRANT UPDATE ON checkpoints TO {login}")
            await database.provisioning.check()
            assert await database.provisioning.provision() == []
    finally:
        as_admin(fresh_postgres_url, f"DROP OWNED BY {login}", f"DROP ROLE {login}")


# The lock of rebuilds


async def test_the_lock_of_rebuilds_outlasts_transaction_timeouts_and_does_not_hold_back_vacuum(
    fresh_postgres_url: str,
) -> None:
    name = make_url(fresh_postgres_url).database
    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        await database.provisioning.provision()
        limits = ("idle_in_transaction_session_timeout", "transaction_timeout")
        for limit in limits:
            as_admin(fresh_postgres_url, f"ALTER DATABASE {name} SET {limit} = '300ms'", database="postgres")
        generations = database.generations
        async with generations.lock():
            held = "SELECT backend_xmin, backend_xid, now() - xact_start > interval '900 ms' FROM pg_stat_activity "
            held += "JOIN pg_locks USING (pid) WHERE locktype = 'advisory'"
            async with asyncio.timeout(30):
                while (found := as_admin(fresh_postgres_url, held)) != [(None, None, True)]:
                    assert found, "the lock went"
                    await asyncio.sleep(0.05)
            assert await generations.is_locked()
        assert not await generations.is_locked()


# Every error there is, from a real server


SQLSTATES = sorted(
    state
    for kind in vars(psycopg.errors).values()
    if isinstance(state := getattr(kind, "sqlstate", None), str) and state[:2] not in ("00", "01", "02")
)


@pytest.mark.parametrize(
    "rows", [pytest.param(1, id="a few rows"), pytest.param(40, id="many rows", marks=pytest.mark.long)]
)
async def test_no_error_that_postgres_can_raise_is_more_than_an_interruption(
    fresh_postgres_url: str, rows: int
) -> None:
    async with postgres_read_db(fresh_postgres_url, pool_size=2) as database:
        await database.provisioning.provision()
        as_admin(
            fresh_postgres_url,
            "CREATE TABLE odd (state text)",
            """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE state text := (SELECT max(state) FROM odd);
            BEGIN
                IF state IS NOT NULL THEN RAISE EXCEPTION 'says so' USING ERRCODE = state; END IF;
                RETURN NEW;
            END $$""",
            "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON posts_a FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        handle = handle_of(database)
        changes = RowChanges(posts=[post(n) for n in range(rows)])
        with (
            psycopg.connect(plain(fresh_postgres_url), autocommit=True) as admin,
            stamina.set_testing(True, attempts=2),
        ):
            for state in SQLSTATES:
                admin.execute("INSERT INTO odd VALUES (%s)", [state])
                with pytest.raises((ReadDbUnavailable, SchemaOutdated)) as caught:
                    await handle.store.project(BATCH, lambda _: changes)
                if state != psycopg.errors.UndefinedTable.sqlstate:
                    assert ": says so" in caught.value.message, state
                admin.execute("DELETE FROM odd")
        await handle.store.project(BATCH, lambda _: changes)
        assert len((await handle.rows([post_id(n) for n in range(rows)])).posts) == rows
