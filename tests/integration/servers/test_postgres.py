import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from local.postgres import Postgres


def test_a_database_of_a_tests_own_is_empty_and_usable_from_sqlalchemy(fresh_postgres_url: str) -> None:
    engine = create_engine(fresh_postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (id int PRIMARY KEY)"))
        connection.execute(text("INSERT INTO notes VALUES (1)"))

        assert connection.execute(text("SELECT id FROM notes")).scalars().all() == [1]
    engine.dispose()


def test_a_database_of_a_test_is_dropped_after_it(postgres_url: str) -> None:
    with psycopg.connect(plain(postgres_url)) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test_%'").fetchall()

    assert left == []


def test_what_was_committed_is_there_after_kill_9(killable_postgres: Postgres) -> None:
    with psycopg.connect(plain(killable_postgres.url)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.commit()

        killable_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    killable_postgres.restart()

    with psycopg.connect(plain(killable_postgres.url)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]


def test_a_killed_server_refuses_connections(killable_postgres: Postgres) -> None:
    killable_postgres.kill()

    engine = create_engine(killable_postgres.url)
    with pytest.raises(OperationalError, match="refused"):
        engine.connect()
    engine.dispose()


def test_a_login_has_its_own_rights_and_needs_its_password(killable_postgres: Postgres) -> None:
    url = make_url(killable_postgres.url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'secret'")
        connection.execute("GRANT CONNECT ON DATABASE postgres TO reader")
    reader = url.set(username="reader", password="secret")

    with (
        psycopg.connect(reader.render_as_string(hide_password=False)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE public.mine (id int)")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(reader.set(password="wrong").render_as_string(hide_password=False))
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        connection.execute("DROP OWNED BY reader")
        connection.execute("DROP ROLE reader")


def plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)
