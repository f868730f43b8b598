"""The service's login in PostgreSQL: made by an administrator, and allowed what the service does and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from adapters.postgres.logins import PostgresLogins
from adapters.postgres.read_db import postgres_read_db
from adapters.sql.tables import metadata
from application.errors import ReadDbUnavailable, SchemaOutdated
from application.ports.provisioning import LoginNotMade
from integration.logins.places import PostgresPlace, postgres_place
from local.ports import free_port
from local.postgres import Postgres


@pytest.fixture
async def ready(place: PostgresPlace) -> PostgresPlace:
    await place.init()
    return place


@pytest.fixture(scope="module")
async def shared(postgres_url: str) -> AsyncIterator[PostgresPlace]:
    """Ready, and left as it is."""
    with postgres_place(postgres_url) as place, place.another_login():
        await place.init()
        yield place


# Making it


async def test_database_tables_login_and_rights_are_made_with_a_sentence_each(place: PostgresPlace) -> None:
    database, tables, login, rights, still_open = await place.init()
    assert database == f"Created the database '{place.database}' in PostgreSQL."
    assert tables.startswith(f"Created the tables of the read database {place.database} on ")
    assert login == f"Created the login '{place.login}' in PostgreSQL."
    assert rights == (
        f"Granted the login '{place.login}' its rights in the database '{place.database}': to read and write rows, and "
        f"nothing else."
    )
    assert still_open.startswith(f"The login '{place.login}' can still connect to '")


async def test_a_second_time_nothing_changes_but_the_password_is_set(ready: PostgresPlace) -> None:
    before = _rights(ready)
    password, _still_open = await ready.init()
    assert password == f"Set the password of the login '{ready.login}' in PostgreSQL."
    assert _rights(ready) == before


async def test_a_new_password_takes_the_place_of_the_old(ready: PostgresPlace) -> None:
    changed = ready.with_password("another one")
    await changed.init()
    with changed.as_service():
        pass
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ready.as_service()


async def test_rights_that_somebody_gave_beyond_the_least_are_taken_back(ready: PostgresPlace) -> None:
    before = _rights(ready)
    for statement in (
        "GRANT CREATE ON SCHEMA public TO {login}",
        "GRANT CREATE ON DATABASE {database} TO {login}",
        "GRANT ALL ON postlog_version TO {login}",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO PUBLIC",
    ):
        ready.tell(statement, ready.database)
    _password, rights, _still_open = await ready.init()
    assert rights.startswith(f"Granted the login '{ready.login}' its rights in the database")
    assert _rights(ready) == before


async def test_it_can_be_run_while_the_service_holds_temporary_tables(ready: PostgresPlace) -> None:
    with ready.as_service() as service, service.transaction():
        service.execute("CREATE TEMPORARY TABLE incoming (LIKE posts_a) ON COMMIT DROP")
        await ready.init()


async def test_before_there_are_tables_it_says_what_is_missing(place: PostgresPlace) -> None:
    await place.logins.make_database()
    with pytest.raises(SchemaOutdated, match=r"has no tables yet; run `postlog init`"):
        await place.logins.make_login()
    with place.as_admin() as admin:
        assert admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [place.login]).fetchone() is None


# What it may do (that the adapters work with it is in test_work_with_least_rights.py)


async def test_with_it_init_finds_that_everything_is_there(shared: PostgresPlace) -> None:
    async with postgres_read_db(shared.service_url, pool_size=1) as database:
        assert await database.provisioning.provision() == []


async def test_with_it_the_database_has_the_same_id_as_with_any_other_login(shared: PostgresPlace) -> None:
    """Projectors of one read database form a group by it, whatever login each has."""
    ids = set()
    for url in (shared.service_url, shared.admin_url):
        address = make_url(url).set(database=shared.database).render_as_string(hide_password=False)
        async with postgres_read_db(address, pool_size=1) as database:
            ids.add(await database.projection_store.database_id())
    assert len(ids) == 1


async def test_it_may_write_every_table_but_the_revision(shared: PostgresPlace) -> None:
    with shared.as_service() as service:
        for table in metadata.tables:
            service.execute(f"DELETE FROM {table} WHERE FALSE")
            service.execute(f"SELECT * FROM {table}")
        service.execute("SELECT * FROM postlog_version")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute("UPDATE postlog_version SET version_num = '9999'")


async def test_it_may_empty_a_slot_at_once_and_no_other_table(shared: PostgresPlace) -> None:
    with shared.as_service() as service:
        service.execute("TRUNCATE posts_a, comments_a, posts_b, comments_b")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute("TRUNCATE checkpoints")


async def test_it_may_use_tables_of_later_migrations_as_soon_as_they_are_there(ready: PostgresPlace) -> None:
    ready.tell("CREATE TABLE later (id integer)", ready.database)
    with ready.as_service() as service:
        service.execute("INSERT INTO later VALUES (1)")
        service.execute("UPDATE later SET id = 2")
        assert service.execute("DELETE FROM later RETURNING id").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id integer)",
        "CREATE TABLE mine AS SELECT * FROM posts",
        "CREATE VIEW mine AS SELECT * FROM posts",
        "CREATE SCHEMA mine",
        "CREATE INDEX mine ON posts_a (likes)",
        "CREATE SEQUENCE mine",
        "CREATE TYPE mine AS (id integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "ALTER TABLE posts_a ADD COLUMN mine integer",
        "ALTER TABLE posts_a DROP COLUMN likes",
        "ALTER TABLE posts_a DISABLE TRIGGER ALL",
        "ALTER VIEW posts RENAME TO mine",
        "CREATE RULE mine AS ON DELETE TO posts_a DO INSTEAD NOTHING",
        "CREATE TRIGGER mine AFTER DELETE ON posts_a EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP TABLE posts_a",
        "DROP VIEW posts",
        "DROP INDEX posts_a_newest",
        "COPY posts_a TO PROGRAM 'true'",
        "COPY posts_a FROM '/etc/hostname'",
        "ALTER SYSTEM SET log_statement = 'all'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT * FROM pg_authid",
    ],
)
async def test_it_is_refused(shared: PostgresPlace, statement: str) -> None:
    with shared.as_service() as service, pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(statement)


async def test_it_can_give_its_rights_to_nobody(shared: PostgresPlace) -> None:
    with shared.as_service() as service:
        service.execute("GRANT SELECT ON posts_a TO PUBLIC")  # the server only warns
        query = "SELECT has_table_privilege('public', 'posts_a', 'SELECT')"
        assert service.execute(query).fetchone() == (False,)


# Other databases


async def test_where_nobody_else_logs_in_every_other_database_is_closed_to_it(place_of_its_own: PostgresPlace) -> None:
    place = place_of_its_own
    with place.another_database() as elsewhere:
        made = await place.init()
        for database in (elsewhere, "postgres", "template1"):
            assert (
                f"Closed the database '{database}' to logins without a right of their own; until now every "
                f"login could connect." in made
            )
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                place.as_service(database)
        assert await place.init() == [f"Set the password of the login '{place.login}' in PostgreSQL."]


async def test_where_others_log_in_their_databases_stay_as_they_are_and_are_named(place: PostgresPlace) -> None:
    with place.another_database() as elsewhere:
        *_made, still_open = await place.init()
        assert f"'{elsewhere}'" in still_open
        assert "To close one: REVOKE CONNECT ON DATABASE" in still_open
        place.tell(f"REVOKE CONNECT ON DATABASE {elsewhere} FROM PUBLIC")
        *_made, still_open = await place.init()
        assert f"'{elsewhere}'" not in still_open
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            place.as_service(elsewhere)


async def test_its_own_database_is_closed_to_others(shared: PostgresPlace) -> None:
    with shared.another_login() as other:
        shared.tell(f"ALTER ROLE {other} PASSWORD 'theirs'")
        url = make_url(shared.service_url).set(username=other, password="theirs")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            PostgresPlace(admin_url="", service_url=url.render_as_string(hide_password=False)).as_service()


# Logins and administrators that will not do


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("ALTER ROLE {login} SUPERUSER", "is a superuser"),
        ("ALTER ROLE {login} CREATEROLE CREATEDB", "may create roles and may create databases"),
        ("ALTER ROLE {login} REPLICATION", "may replicate"),
        ("ALTER ROLE {login} BYPASSRLS", "bypasses row security"),
        ("GRANT pg_read_all_data TO {login}", "is a member of other roles"),
        ("ALTER DATABASE {database} OWNER TO {login}", "owns databases, schemas or tables"),
        ("ALTER TABLE posts_a OWNER TO {login}", "owns databases, schemas or tables"),
    ],
)
async def test_a_login_that_may_do_more_is_refused_and_keeps_its_password(
    ready: PostgresPlace, given: str, reason: str
) -> None:
    ready.tell(given, ready.database)
    with pytest.raises(LoginNotMade) as caught:
        await ready.with_password("another one").init()
    assert caught.value.path == "read_db.postgres.url"
    assert caught.value.message == (
        f"The login '{ready.login}' in read_db.postgres.url has more rights than the service needs: it {reason}. "
        f"Use another login there."
    )
    with ready.as_service():
        pass
    ready.tell("REASSIGN OWNED BY {login} TO CURRENT_USER", ready.database)


async def test_the_administrator_s_own_login_is_refused(place: PostgresPlace) -> None:
    admin = make_url(place.admin_url).set(database=place.database).render_as_string(hide_password=False)
    its_own = PostgresPlace(admin_url=place.admin_url, service_url=admin)
    with pytest.raises(LoginNotMade, match="is the administrator's own and is a superuser"):
        await its_own.init()
    place.tell("DROP DATABASE IF EXISTS {database}")


async def test_an_administrator_who_may_make_databases_and_roles_need_not_be_superuser(place: PostgresPlace) -> None:
    with place.another_login() as admin:
        place.tell(f"ALTER ROLE {admin} CREATEROLE CREATEDB PASSWORD 'theirs'")
        url = make_url(place.admin_url).set(username=admin, password="theirs")
        lesser = PostgresPlace(admin_url=url.render_as_string(hide_password=False), service_url=place.service_url)
        await lesser.init()
        with place.as_service() as service:
            service.execute("SELECT * FROM posts")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute("CREATE TABLE mine (id integer)")
        place.tell("DROP DATABASE {database}")
        place.tell("DROP ROLE {login}")


async def test_a_login_is_no_administrator(shared: PostgresPlace) -> None:
    url = make_url(shared.service_url)
    other = url.set(username="SMUser2", database="SocialMedia2").render_as_string(hide_password=False)
    logins = PostgresLogins(shared.service_url, other)
    with pytest.raises(LoginNotMade) as caught:
        await logins.make_database()
    assert caught.value.path == "POSTLOG_ADMIN__POSTGRES_URL"
    assert caught.value.message == (
        "PostgreSQL refuses what the administrator's login (POSTLOG_ADMIN__POSTGRES_URL) asks: permission denied to "
        "create database."
    )


async def test_an_administrator_whose_tables_would_be_in_another_schema_is_told_so(place: PostgresPlace) -> None:
    await place.logins.make_database()
    user = str(make_url(place.admin_url).username)
    place.tell(f"CREATE SCHEMA AUTHORIZATION {user}", place.database)
    with pytest.raises(LoginNotMade) as caught:
        await place.logins.make_database()
    assert caught.value.path == "POSTLOG_ADMIN__POSTGRES_URL"
    assert f"would create the tables in the schema {user}, by its search_path" in caught.value.message
    place.tell(f"ALTER ROLE {user} IN DATABASE {{database}} SET search_path = public")
    await place.init()


async def test_a_server_that_is_away_is_named_with_the_variable_and_without_password(place: PostgresPlace) -> None:
    away = make_url(place.admin_url).set(port=free_port()).render_as_string(hide_password=False)
    with pytest.raises(ReadDbUnavailable) as caught:
        await PostgresLogins(away, place.service_url).make_database()
    assert caught.value.path == "POSTLOG_ADMIN__POSTGRES_URL"
    assert "does not answer" in caught.value.message
    for secret in (place.password, str(make_url(place.admin_url).password)):
        assert secret not in caught.value.message


# Secrets


async def test_the_server_never_sees_the_password_not_even_in_its_log(
    place_of_its_own: PostgresPlace, killable_postgres: Postgres
) -> None:
    place = place_of_its_own.with_password("a very secret password")
    place.tell("ALTER SYSTEM SET log_statement = 'all'")
    place.tell("SELECT pg_reload_conf()")
    try:
        said = [*await place.init(), *await place.init()]
    finally:
        place.tell("ALTER SYSTEM RESET log_statement")
        place.tell("SELECT pg_reload_conf()")
    log = Path(killable_postgres._started.log).read_text()
    assert "CREATE ROLE" in log
    assert "ALTER ROLE" in log
    assert "a very secret password" not in log + "".join(said)


async def test_the_tables_are_made_by_the_administrator_in_the_service_s_database(place: PostgresPlace) -> None:
    await place.logins.make_database()
    async with postgres_read_db(place.logins.tables_url, pool_size=1) as database:
        await database.provisioning.provision()
    with place.as_admin(place.database) as admin:
        owners = admin.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert owners == [(make_url(place.admin_url).username,)]


def _rights(place: PostgresPlace) -> dict[str, set[str]]:
    """Who may do what with the database, its schema and its tables, as PostgreSQL writes it."""
    query = """
        SELECT 'database', datacl::text[] FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT 'schema', nspacl::text[] FROM pg_namespace WHERE nspname = 'public'
        UNION ALL SELECT relname, relacl::text[] FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT 'default', defaclacl::text[] FROM pg_default_acl
    """
    with place.as_admin(place.database) as admin:
        return {name: set(rights or []) for name, rights in admin.execute(query).fetchall()}
