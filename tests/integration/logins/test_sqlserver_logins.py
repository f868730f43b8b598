"""The service's login in SQL Server: made by an administrator, and allowed what the service does and nothing else."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import make_url

from adapters.sql.tables import metadata
from adapters.sqlserver import driver
from adapters.sqlserver.logins import SqlServerLogins
from adapters.sqlserver.read_db import sqlserver_read_db
from application.errors import ReadDbUnavailable, SchemaOutdated
from application.ports.post_views import PostWithComments
from application.ports.provisioning import LoginNotMade
from application.ports.read_db import RowChanges
from contracts.read_db_handle import comment, post, post_id
from contracts.sql_read_db import handle_of
from integration.logins.places import SqlServerPlace, sqlserver_place
from local.ports import free_port


@pytest.fixture
def place(sqlserver_url: str) -> Iterator[SqlServerPlace]:
    with sqlserver_place(sqlserver_url) as place:
        yield place


@pytest.fixture(scope="module")
async def ready(sqlserver_url: str) -> AsyncIterator[SqlServerPlace]:
    """Left as it is: to make one takes seconds."""
    with sqlserver_place(sqlserver_url) as place:
        await place.init()
        yield place


def refusal_of(place: SqlServerPlace, statement: str, database: str | None = None) -> str:
    with pytest.raises(driver.load().Error) as caught:
        place.ask_as_service(statement, database)
    return driver.server_message(caught.value)


async def test_everything_is_made_once_and_the_password_set_each_time(place: SqlServerPlace) -> None:
    database, tables, login, user, rights = await place.init()
    assert database == f"Created the database '{place.database}' in SQL Server."
    assert tables.startswith(f"Created the tables of the read database {place.database} on ")
    assert login == f"Created the login '{place.login}' in SQL Server."
    assert user == f"Created the user '{place.login}' in the database '{place.database}'."
    assert rights == (
        f"Granted the login '{place.login}' its rights in the database '{place.database}': to read and write rows, and "
        f"nothing else."
    )
    changed = place.with_password("Another one, 1")
    assert await changed.init() == [f"Set the password of the login '{place.login}' in SQL Server."]
    assert changed.ask_as_service("SELECT 1") == [(1,)]
    assert "Login failed" in refusal_of(place, "SELECT 1")


async def test_before_there_are_tables_it_says_what_is_missing(place: SqlServerPlace) -> None:
    await place.logins.make_database()
    with pytest.raises(SchemaOutdated, match=r"has no tables yet; run `postlog init`"):
        await place.logins.make_login()


# What it may do


async def test_the_adapters_work_with_it(ready: SqlServerPlace) -> None:
    async with sqlserver_read_db(ready.service_url, pool_size=2) as database:
        await database.provisioning.check()
        assert await database.provisioning.provision() == []
        read_db = handle_of(database)
        await read_db.write(RowChanges(posts=[post(1, likes=3)], comments=[comment(1, 2)]))
        await read_db.write(RowChanges(posts=[post(1, likes=4, version=2)]))
        answer = await read_db.views.post(post_id(1))
        assert answer.value == PostWithComments(post(1, likes=4, version=2), [comment(1, 2)])


async def test_it_may_write_every_table_but_the_revision(ready: SqlServerPlace) -> None:
    read = [f"SELECT * FROM {table}" for table in (*metadata.tables, "posts", "comments", "postlog_version")]
    ready.ask_as_service("; ".join([*read, *(f"DELETE FROM {table} WHERE 1 = 0" for table in metadata.tables)]))
    assert _is_about_rights(refusal_of(ready, "UPDATE postlog_version SET version_num = '9999'"))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id integer)",
        "SELECT * INTO mine FROM posts",
        "CREATE VIEW mine AS SELECT * FROM posts",
        "CREATE SCHEMA mine",
        "CREATE INDEX mine ON posts_a (likes)",
        "CREATE PROCEDURE mine AS SELECT 1",
        "CREATE DATABASE mine",
        "CREATE LOGIN mine WITH PASSWORD = 'Pass:word 1'",
        "ALTER TABLE posts_a ADD mine integer",
        "ALTER TABLE posts_a DROP COLUMN likes",
        "TRUNCATE TABLE posts_a",
        "DROP TABLE posts_a",
        "DROP VIEW posts",
    ],
)
async def test_it_is_refused(ready: SqlServerPlace, statement: str) -> None:
    assert _is_about_rights(refusal_of(ready, statement))


async def test_it_may_not_enter_another_database(ready: SqlServerPlace, place: SqlServerPlace) -> None:
    await place.logins.make_database()
    assert re.search("[Cc]annot open database|not able to access", refusal_of(ready, "SELECT 1", place.database))


# Logins and administrators that will not do


async def test_a_login_that_may_do_more_on_the_server_is_refused_and_keeps_its_password(
    ready: SqlServerPlace, place: SqlServerPlace
) -> None:
    place.ask_as_admin(f"CREATE LOGIN [{place.login}] WITH PASSWORD = 'Their own, 1'", "master")
    place.ask_as_admin(f"ALTER SERVER ROLE sysadmin ADD MEMBER [{place.login}]", "master")
    url = make_url(place.service_url).set(database=ready.database).render_as_string(hide_password=False)
    with pytest.raises(LoginNotMade) as caught:
        await SqlServerLogins(place.admin_url, url).make_login()
    assert caught.value.path == "read_db.sqlserver.url"
    assert caught.value.message.startswith(
        f"The login '{place.login}' in read_db.sqlserver.url has more rights than the service needs: it has the "
        f"server role sysadmin"
    )
    assert place.with_password("Their own, 1").ask_as_service("SELECT 1", "master") == [(1,)]


async def test_a_login_with_a_role_in_the_database_is_refused(ready: SqlServerPlace) -> None:
    ready.ask_as_admin("CREATE ROLE reporting", ready.database)
    ready.ask_as_admin(f"ALTER ROLE reporting ADD MEMBER [{ready.login}]", ready.database)
    with pytest.raises(LoginNotMade, match=r"it has the database role reporting\. Use another login there"):
        await ready.logins.make_login()
    ready.ask_as_admin(f"ALTER ROLE reporting DROP MEMBER [{ready.login}]", ready.database)


async def test_the_administrator_s_own_login_is_refused(ready: SqlServerPlace) -> None:
    own = make_url(ready.admin_url).set(database=ready.database).render_as_string(hide_password=False)
    with pytest.raises(LoginNotMade, match="it is the administrator's own"):
        await SqlServerLogins(ready.admin_url, own).make_login()


async def test_a_login_is_no_administrator(ready: SqlServerPlace) -> None:
    other = make_url(ready.service_url).set(username="SMUser2", database="SocialMedia2")
    logins = SqlServerLogins(ready.service_url, other.render_as_string(hide_password=False))
    with pytest.raises(LoginNotMade) as caught:
        await logins.make_database()
    assert caught.value.path == "POSTLOG_ADMIN__SQLSERVER_URL"
    assert "PERMISSION DENIED" in caught.value.message.upper()
    assert caught.value.message.startswith(
        "SQL Server refuses what the administrator's login (POSTLOG_ADMIN__SQLSERVER_URL) asks: "
    )


async def test_a_wrong_password_of_the_administrator_is_named_with_the_variable(place: SqlServerPlace) -> None:
    wrong = make_url(place.admin_url).set(password="Wrong one, 1").render_as_string(hide_password=False)
    with pytest.raises(LoginNotMade) as caught:
        await SqlServerLogins(wrong, place.service_url).make_database()
    assert caught.value.path == "POSTLOG_ADMIN__SQLSERVER_URL"
    assert "Login failed" in caught.value.message
    assert "Wrong one, 1" not in caught.value.message


async def test_a_server_that_is_away_is_named_with_the_variable_and_without_password(place: SqlServerPlace) -> None:
    away = make_url(place.admin_url).set(port=free_port()).render_as_string(hide_password=False)
    with pytest.raises(ReadDbUnavailable) as caught:
        await SqlServerLogins(away, place.service_url).make_database()
    assert caught.value.path == "POSTLOG_ADMIN__SQLSERVER_URL"
    assert "does not answer" in caught.value.message
    for secret in (place.password, str(make_url(place.admin_url).password)):
        assert secret not in caught.value.message


def _is_about_rights(sentence: str) -> bool:
    """SQL Server and servers that speak its protocol word it in their ways."""
    said = re.search("permission|must be owner|is not the owner|does not exist or you do not have", sentence)
    return said is not None
