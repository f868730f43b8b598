"""What helps is repeated, and what does not is said in one sentence."""

import sqlite3
from pathlib import Path

import pytest
import stamina
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from adapters.postgres import errors as postgres_errors
from adapters.sql.address import Address
from adapters.sql.attempts import attempt
from adapters.sql.backend import SqlBackend, Trouble
from adapters.sqlite.engine import sqlite_backend
from application.errors import ReadDbUnavailable, SchemaOutdated

ADDRESS = Address(setting="read_db.sqlite.path", place="here", secrets=("s3cret",))


@pytest.fixture
def backend(tmp_path: Path) -> SqlBackend:
    return sqlite_backend(tmp_path / "never-opened", 1)


class Work:
    """Fails as it is told, then answers 42."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 42


def sqlite_error(code: int, says: str = "says s3cret\nand more") -> OperationalError:
    error = sqlite3.OperationalError(says)
    error.sqlite_errorcode = code
    return OperationalError("SELECT 1", None, error, hide_parameters=True)


def test_work_that_succeeds_is_done_once(backend: SqlBackend) -> None:
    work = Work()
    assert attempt(backend, ADDRESS, work) == 42
    assert work.calls == 1


def test_what_may_succeed_when_repeated_is_repeated(backend: SqlBackend) -> None:
    work = Work(sqlite_error(sqlite3.SQLITE_BUSY), sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT))
    with stamina.set_testing(True, attempts=6):
        assert attempt(backend, ADDRESS, work) == 42
    assert work.calls == 3


def test_what_stays_busy_is_unavailable(backend: SqlBackend) -> None:
    work = Work(*(sqlite_error(sqlite3.SQLITE_BUSY) for _ in range(20)))
    with stamina.set_testing(True, attempts=3), pytest.raises(ReadDbUnavailable) as caught:
        attempt(backend, ADDRESS, work)
    assert work.calls == 4
    assert caught.value.message == "The read database here (read_db.sqlite.path) does not answer: says ***."
    assert caught.value.path == "read_db.sqlite.path"


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL]
)
def test_a_database_that_is_away_is_not_asked_again(backend: SqlBackend, code: int) -> None:
    work = Work(sqlite_error(code))
    with pytest.raises(ReadDbUnavailable):
        attempt(backend, ADDRESS, work)
    assert work.calls == 1


def test_missing_tables_are_told_apart(backend: SqlBackend) -> None:
    with pytest.raises(SchemaOutdated, match="run `postlog init`"):
        attempt(backend, ADDRESS, Work(sqlite_error(sqlite3.SQLITE_ERROR, "no such table: read_db")))


NOT_ASKED = ProgrammingError("SELECT 1", None, sqlite3.ProgrammingError("Incorrect number of bindings supplied."))


@pytest.mark.parametrize("error", [NOT_ASKED, KeyError("the fold's")])
def test_our_own_faults_come_out_as_they_are(backend: SqlBackend, error: Exception) -> None:
    work = Work(error)
    with pytest.raises(type(error)) as caught:
        attempt(backend, ADDRESS, work)
    assert caught.value is error
    assert work.calls == 1


class PostgresError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("says")
        self.sqlstate = sqlstate


def postgres_error(sqlstate: str | None, kind: type[DBAPIError] = OperationalError, lost: bool = False) -> DBAPIError:
    return kind("SELECT 1", None, PostgresError(sqlstate), connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (postgres_error("40001"), Trouble.TRANSIENT),
        (postgres_error("40P01"), Trouble.TRANSIENT),
        (postgres_error("57P01"), Trouble.TRANSIENT),
        (postgres_error(None, lost=True), Trouble.TRANSIENT),
        (postgres_error(None), Trouble.AWAY),
        (postgres_error("53300"), Trouble.REFUSED),
        (postgres_error("57014"), Trouble.REFUSED),
        (postgres_error("25006", lost=True), Trouble.REFUSED),
        (postgres_error("42501", ProgrammingError), Trouble.REFUSED),
        (postgres_error("42P01", ProgrammingError), Trouble.NO_TABLES),
        (postgres_error("42601", ProgrammingError), Trouble.REFUSED),
        (postgres_error(None, ProgrammingError), Trouble.FAULT),
    ],
)
def test_what_errors_of_postgres_mean(error: DBAPIError, trouble: Trouble) -> None:
    assert postgres_errors.trouble(error) is trouble
