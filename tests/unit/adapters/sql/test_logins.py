"""Which login `postlog init` creates in a SQL database, and its rights."""

import pytest
from sqlalchemy import create_engine, inspect

from adapters.sql.logins import READ, READ_AND_WRITE, ServiceLogin, address_of, rights, service_login, slot_tables
from adapters.sql.schema import _record_revision
from adapters.sql.tables import create_views, metadata
from application.ports.provisioning import LoginNotMade

SETTING = "read_db.postgres.url"
DRIVER = "postgresql+psycopg"


def login_of(url: str) -> ServiceLogin:
    return service_login(address_of(url, SETTING, DRIVER), SETTING)


def refusal_of(url: str) -> str:
    with pytest.raises(LoginNotMade) as caught:
        login_of(url)
    assert caught.value.path == SETTING
    assert "s3cr3t" not in str(caught.value)
    return caught.value.message


def test_login_password_and_database_are_those_of_the_address() -> None:
    assert login_of("postgresql://SMUser:p%40ss%2Fword@db:5432/SocialMedia") == ServiceLogin(
        name="SMUser", password="p@ss/word", database="SocialMedia"
    )


def test_the_password_shows_in_no_representation() -> None:
    assert "s3cr3t" not in repr(login_of("postgresql://SMUser:s3cr3t@db/SocialMedia"))


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        ("postgresql://db/SocialMedia", "login and no password"),
        ("postgresql://SMUser@db/SocialMedia", "password"),
        ("postgresql://SMUser:s3cr3t@db", "database"),
    ],
)
def test_an_address_that_lacks_something_is_refused(url: str, missing: str) -> None:
    assert refusal_of(url) == (
        f"read_db.postgres.url contains no {missing}; `postlog init` creates the login with the name and the password "
        f"given there."
    )


def test_an_address_of_another_engine_is_refused() -> None:
    assert refusal_of("mssql+pyodbc://SMUser:s3cr3t@db/SocialMedia") == (
        "read_db.postgres.url names mssql+pyodbc; it has the form postgresql+psycopg://login:password@host:port/database."
    )


def test_what_is_no_address_is_refused() -> None:
    assert refusal_of("s3cr3t") == (
        "read_db.postgres.url is not the address of a database; it has the form "
        "postgresql+psycopg://login:password@host:port/database."
    )


def test_every_table_and_view_has_its_rights() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        for view in create_views().values():
            connection.execute(view)
        _record_revision(connection)
        found = inspect(connection)
        assert {*found.get_table_names(), *found.get_view_names()} == set(rights())
    engine.dispose()


def test_views_and_the_revision_are_read_and_the_rest_is_written() -> None:
    assert {name for name, allowed in rights().items() if allowed == READ} == {"posts", "comments", "postlog_version"}
    assert {name for name, allowed in rights().items() if allowed == READ_AND_WRITE} == set(metadata.tables)


def test_a_rebuild_empties_both_slots() -> None:
    assert slot_tables() == ("posts_a", "comments_a", "posts_b", "comments_b")
