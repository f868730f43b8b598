"""Transient errors are retried, and all others are reported in one sentence.

No error that a server can send is raised as anything but one of Postlog's own, with the server's words and the setting,
and without secrets; so none of them ends a process. The lists are those of the drivers and of the servers' manuals.
"""

import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy.exc
import stamina
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from adapters.postgres import errors as postgres_errors
from adapters.sql.address import Address
from adapters.sql.backend import ErrorKind, SqlBackend
from adapters.sql.database import with_retry
from adapters.sqlite.read_db_engine import sqlite_backend
from adapters.sqlserver import errors as sqlserver_errors
from adapters.sqlserver.driver import server_message
from application.errors import ReadDbUnavailable, SchemaOutdated
from domain.errors import PostlogError

ADDRESS = Address(setting="read_db.sqlite.path", place="here", secrets=("s3cret",))


@pytest.fixture
def backend(tmp_path: Path) -> SqlBackend:
    return sqlite_backend(tmp_path / "never-opened", 1)


class Work:
    """Raises the given errors, then returns 42."""

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


def test_work_that_succeeds_runs_once(backend: SqlBackend) -> None:
    work = Work()
    assert with_retry(backend, ADDRESS, work) == 42
    assert work.calls == 1


def test_a_transient_error_is_retried(backend: SqlBackend) -> None:
    work = Work(sqlite_error(sqlite3.SQLITE_BUSY), sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT))
    with stamina.set_testing(True, attempts=6):
        assert with_retry(backend, ADDRESS, work) == 42
    assert work.calls == 3


def test_a_database_that_stays_busy_is_unavailable(backend: SqlBackend) -> None:
    work = Work(*(sqlite_error(sqlite3.SQLITE_BUSY) for _ in range(20)))
    with stamina.set_testing(True, attempts=3), pytest.raises(ReadDbUnavailable) as caught:
        with_retry(backend, ADDRESS, work)
    assert work.calls == 4
    assert caught.value.message == "The read database here (read_db.sqlite.path) does not answer: says ***."
    assert caught.value.path == "read_db.sqlite.path"


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL]
)
def test_a_database_that_is_unreachable_is_not_retried(backend: SqlBackend, code: int) -> None:
    work = Work(sqlite_error(code))
    with pytest.raises(ReadDbUnavailable):
        with_retry(backend, ADDRESS, work)
    assert work.calls == 1


def test_missing_tables_are_recognized(backend: SqlBackend) -> None:
    with pytest.raises(SchemaOutdated, match="run `postlog init`"):
        with_retry(backend, ADDRESS, Work(sqlite_error(sqlite3.SQLITE_ERROR, "no such table: read_db")))


NOT_ASKED = ProgrammingError("SELECT 1", None, sqlite3.ProgrammingError("Incorrect number of bindings supplied."))


@pytest.mark.parametrize("error", [NOT_ASKED, KeyError("the fold's")])
def test_our_own_bugs_are_raised_unchanged(backend: SqlBackend, error: Exception) -> None:
    work = Work(error)
    with pytest.raises(type(error)) as caught:
        with_retry(backend, ADDRESS, work)
    assert caught.value is error
    assert work.calls == 1


class PostgresError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("says")
        self.sqlstate = sqlstate


def postgres_error(sqlstate: str | None, kind: type[DBAPIError] = OperationalError, lost: bool = False) -> DBAPIError:
    return kind("SELECT 1", None, PostgresError(sqlstate), connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "error_kind"),
    [
        (postgres_error("40001"), ErrorKind.TRANSIENT),
        (postgres_error("40P01"), ErrorKind.TRANSIENT),
        (postgres_error("57P01"), ErrorKind.TRANSIENT),
        (postgres_error(None, lost=True), ErrorKind.TRANSIENT),
        (postgres_error(None), ErrorKind.UNREACHABLE),
        (postgres_error("53300"), ErrorKind.REPORTED),
        (postgres_error("57014"), ErrorKind.REPORTED),
        (postgres_error("25006", lost=True), ErrorKind.REPORTED),
        (postgres_error("42501", ProgrammingError), ErrorKind.REPORTED),
        (postgres_error("42P01", ProgrammingError), ErrorKind.NO_TABLES),
        (postgres_error("42601", ProgrammingError), ErrorKind.REPORTED),
        (postgres_error(None, ProgrammingError), ErrorKind.BUG),
    ],
)
def test_what_errors_of_postgres_mean(error: DBAPIError, error_kind: ErrorKind) -> None:
    assert postgres_errors.error_kind(error) is error_kind


SOME_ADDRESS = Address(setting="read_db.x.url", place="posts on db", secrets=("s3cret",))

# PostgreSQL

SQLSTATES = sorted(
    state for kind in vars(psycopg.errors).values() if isinstance(state := getattr(kind, "sqlstate", None), str)
)
POSTGRES_CLASSES = sorted({state[:2] for state in SQLSTATES})

# SQL Server

TRANSIENT_FOR_EF_CORE = (
    *(49983, 49977, 49920, 49919, 49918, 41839, 41325, 41305, 41302, 41301, 40613, 40501, 40197, 20, 10936, 10929),
    *(10928, 10922, 11001, 10060, 10054, 10053, 9515, 8651, 8645, 8628, 4221, 4060, 3966, 3960, 3935, 1807, 1222),
    *(1221, 1205, 1204, 1203, 997, 921, 669, 617, 601, 233, 121, 64),
)
TRANSIENT_FOR_SQL_CLIENT = (1204, 1205, 1222, 49918, 49919, 49920, 4060, 4221, 40143, 40613, 40501, 40540, 40197)
RETRIED_BY_THE_ODBC_DRIVER = (4060, 10928, 10929, 40197, 40501, 40613, 49918, 49919, 49920, 11001, 42108, 42109)
SEEN = (976, 978, 823, 824, 825, 3947, 9001, 9002, 3906, 3908, 942, 924, 927, 945, 1105, 18456, 18487, 18488, 8134)
NUMBERS = sorted(
    {*TRANSIENT_FOR_EF_CORE, *TRANSIENT_FOR_SQL_CLIENT, *RETRIED_BY_THE_ODBC_DRIVER, *SEEN}
    | {*range(101, 110), *range(207, 209), *range(229, 231), 262, 515, 547, 596, 701, 802, 911, 916, 2601, 2627, 6005}
    | set(random.Random(12).sample(range(1, 65_000), 300))
)
ODBC_STATES = (
    *("01000", "01002", "01004", "01S00", "07002", "07006", "07009", "08001", "08002", "08003", "08004", "08007"),
    *("08S01", "08S02", "21S01", "22001", "22002", "22003", "22007", "22008", "22012", "22018", "23000", "24000"),
    *("25000", "25S01", "28000", "34000", "3C000", "3D000", "3F000", "40001", "40002", "40003", "42000", "42S01"),
    *("42S02", "42S11", "42S21", "42S22", "44000", "HY000", "HY001", "HY003", "HY004", "HY007", "HY008", "HY009"),
    *("HY010", "HY013", "HY024", "HY090", "HY104", "HY105", "HY109", "HY117", "HYC00", "HYT00", "HYT01", "IM001"),
    *("IM002", "IM006", "IM017"),
)

# SQLite

PRIMARY_CODES = [*range(1, 29), 100, 101]
EXTENDED_CODES = [code | (more << 8) for code in (1, 5, 6, 8, 10, 11, 14, 19, 23) for more in range(1, 12)]


def outcome(backend: SqlBackend, error: Exception, address: Address = SOME_ADDRESS) -> PostlogError:
    def fail() -> None:
        raise error

    with stamina.set_testing(True, attempts=2), pytest.raises(PostlogError) as caught:
        with_retry(backend, address, fail)
    return caught.value


def assert_reported(error: PostlogError, words: str) -> None:
    assert isinstance(error, ReadDbUnavailable | SchemaOutdated)
    assert error.path == "read_db.x.url"
    assert "posts on db (read_db.x.url)" in error.message
    if isinstance(error, ReadDbUnavailable):
        assert words in error.message
    assert "s3cret" not in error.message
    assert "\n" not in error.message


def from_postgres(orig: psycopg.Error, *, lost: bool = False) -> DBAPIError:
    """As SQLAlchemy wraps it."""
    error = DBAPIError.instance(
        "SELECT 1",
        None,
        orig,
        psycopg.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=PGDialect_psycopg(),
    )
    assert isinstance(error, DBAPIError)
    return error


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("state_class", POSTGRES_CLASSES)
def test_every_sqlstate_of_postgres_is_reported(backend: SqlBackend, state_class: str, lost: bool) -> None:
    backend = replace(backend, error_kind=postgres_errors.error_kind, remedy=postgres_errors.remedy)
    states = [state for state in SQLSTATES if state.startswith(state_class)]
    assert states
    for state in [*states, f"{state_class}ZZZ"]:
        try:
            kind = psycopg.errors.lookup(state)
        except KeyError:
            kind = psycopg.errors.OperationalError
        orig = kind("what s3cret says\nDETAIL: more")
        orig.sqlstate = state
        assert_reported(outcome(backend, from_postgres(orig, lost=lost)), "what *** says")


def test_there_are_as_many_sqlstates_as_the_manual_has_classes() -> None:
    assert len(SQLSTATES) > 250
    assert {"08", "22", "25", "40", "42", "53", "57", "58", "F0", "HV", "P0", "XX"} <= set(POSTGRES_CLASSES)


@pytest.mark.parametrize(
    "says",
    [
        'connection to server at "127.0.0.1", port 5432 failed: FATAL:  the database system is starting up',
        'connection failed: FATAL:  password authentication failed for user "ann"',
        'connection failed: FATAL:  database "posts" does not exist',
        "connection failed: FATAL:  sorry, too many clients already",
        "connection failed: FATAL:  server login has been failing, try again later (server_login_retry)",
    ],
)
def test_a_refused_connection_is_reported_in_the_words_of_postgres(backend: SqlBackend, says: str) -> None:
    backend = replace(backend, error_kind=postgres_errors.error_kind, remedy=postgres_errors.remedy)
    address = replace(SOME_ADDRESS, describe=postgres_errors.server_message)
    error = outcome(backend, from_postgres(psycopg.OperationalError(says)), address)
    words = says.partition("FATAL:  ")[2]
    assert error.message.startswith(f"The read database posts on db (read_db.x.url) reported an error: {words}")


def test_a_read_only_database_is_reported_with_a_remedy(backend: SqlBackend) -> None:
    backend = replace(backend, error_kind=postgres_errors.error_kind, remedy=postgres_errors.remedy)
    orig = psycopg.errors.ReadOnlySqlTransaction("cannot execute SELECT FOR UPDATE in a read-only transaction")
    assert outcome(backend, from_postgres(orig)).message == (
        "The read database posts on db (read_db.x.url) reported an error: cannot execute SELECT FOR UPDATE in a "
        "read-only transaction; it takes no writes now: after a failover, name the server that does, or let it take "
        "writes again."
    )


def from_sql_server(state: str, text: str, *, lost: bool = False) -> DBAPIError:
    """As pyodbc raises it, and SQLAlchemy wraps it. pyodbc chooses the class by the state."""
    kinds: dict[str, type[DBAPIError]] = {
        "22": sqlalchemy.exc.DataError,
        "23": sqlalchemy.exc.IntegrityError,
        "24": sqlalchemy.exc.ProgrammingError,
        "25": sqlalchemy.exc.ProgrammingError,
        "42": sqlalchemy.exc.ProgrammingError,
        "08": sqlalchemy.exc.OperationalError,
        "HYT": sqlalchemy.exc.OperationalError,
        "40": sqlalchemy.exc.OperationalError,
        "28": sqlalchemy.exc.InterfaceError,
    }
    kind = next((kind for prefix, kind in kinds.items() if state.startswith(prefix)), sqlalchemy.exc.DBAPIError)
    return kind("SELECT 1", None, Exception(state, text), hide_parameters=True, connection_invalidated=lost)


def sql_server(backend: SqlBackend) -> SqlBackend:
    return replace(backend, error_kind=sqlserver_errors.error_kind, remedy=sqlserver_errors.remedy)


SERVER = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"


@pytest.mark.parametrize("during", ["SQLExecDirectW", "SQLDriverConnect", "SQLEndTran", "SQLFetch"])
@pytest.mark.parametrize("state", ["42000", "HY000", "01000", "23000", "40001", "42S02"])
def test_every_error_number_of_sql_server_is_reported(backend: SqlBackend, state: str, during: str) -> None:
    address = replace(SOME_ADDRESS, describe=server_message)
    for number in NUMBERS:
        for lost in (False, True):
            text = f"[{state}] {SERVER}What s3cret says. ({number}) ({during})"
            assert_reported(
                outcome(sql_server(backend), from_sql_server(state, text, lost=lost), address), "What *** says"
            )


@pytest.mark.parametrize("state", ODBC_STATES)
def test_every_state_of_odbc_is_reported(backend: SqlBackend, state: str) -> None:
    address = replace(SOME_ADDRESS, describe=server_message)
    for origin in ("[Microsoft][ODBC Driver 18 for SQL Server]", "[unixODBC][Driver Manager]", SERVER):
        for lost in (False, True):
            text = f"[{state}] {origin}What s3cret says (0) (SQLExecDirectW)"
            assert_reported(
                outcome(sql_server(backend), from_sql_server(state, text, lost=lost), address), "What *** says"
            )


@pytest.mark.parametrize("number", [10928, 10929, 49918, 976, 1204, 9001, 823, 3906, 18456, 18487, 4060, 942, 1105])
def test_a_known_number_is_reported_with_a_remedy(backend: SqlBackend, number: int) -> None:
    text = f"[42000] {SERVER}It says so. ({number}) (SQLExecDirectW)"
    message = outcome(
        sql_server(backend), from_sql_server("42000", text), replace(SOME_ADDRESS, describe=server_message)
    ).message
    assert message.startswith("The read database posts on db (read_db.x.url) reported an error: It says so; ")


SQLITE_KINDS = (sqlite3.OperationalError, sqlite3.DatabaseError, sqlite3.IntegrityError, sqlite3.InternalError)


@pytest.mark.parametrize("kind", SQLITE_KINDS)
def test_every_result_code_of_sqlite_is_reported(backend: SqlBackend, kind: type[sqlite3.Error]) -> None:
    for code in (*PRIMARY_CODES, *EXTENDED_CODES):
        orig = kind("what s3cret says")
        orig.sqlite_errorcode = code
        error = DBAPIError.instance("SELECT 1", None, orig, sqlite3.Error, hide_parameters=True)
        assert_reported(outcome(backend, error), "what *** says")


# SQLAlchemy's own

SQLALCHEMYS = [
    sqlalchemy.exc.ResourceClosedError("This result object does not return rows. It has been closed automatically."),
    sqlalchemy.exc.PendingRollbackError("Can't reconnect until invalid transaction is rolled back."),
    sqlalchemy.exc.InvalidRequestError("This connection is closed"),
    sqlalchemy.exc.TimeoutError("QueuePool limit of size 1 overflow 0 reached, connection timed out"),
    sqlalchemy.exc.DisconnectionError("gone"),
    sqlalchemy.exc.InvalidatePoolError("gone"),
]


@pytest.mark.parametrize("error", SQLALCHEMYS, ids=lambda error: type(error).__name__)
def test_a_connection_that_sqlalchemy_lost_is_unreachable(backend: SqlBackend, error: Exception) -> None:
    assert "does not answer: " in outcome(backend, error).message


@pytest.mark.parametrize("error", [sqlalchemy.exc.NoResultFound(), sqlalchemy.exc.MultipleResultsFound()])
def test_a_live_row_that_is_missing_or_duplicated_is_reported(backend: SqlBackend, error: Exception) -> None:
    assert "does not have the one row in its table read_db" in outcome(backend, error).message


# What remains a bug of ours


@pytest.mark.parametrize(
    "error",
    [
        from_postgres(psycopg.ProgrammingError("the query has 3 placeholders but 2 parameters were passed")),
        from_postgres(psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")),
    ],
)
def test_what_psycopg_refuses_before_it_asks_the_server_is_our_bug(error: DBAPIError) -> None:
    assert postgres_errors.error_kind(error) is ErrorKind.BUG


def test_what_pyodbc_refuses_before_it_asks_the_server_is_our_bug() -> None:
    words = "The SQL contains 1 parameter markers, but 2 parameters were supplied"
    error = sqlalchemy.exc.ProgrammingError("SELECT 1", None, Exception(words, "HY000"))
    assert sqlserver_errors.error_kind(error) is ErrorKind.BUG


# Connections


def is_discarded(discard_session: Callable[[Any], None], error: Exception) -> bool:
    context = SimpleNamespace(original_exception=error, is_disconnect=False)
    discard_session(context)
    return context.is_disconnect


@pytest.mark.parametrize(
    ("state", "discarded"),
    [
        ("25006", True),
        ("XX000", True),
        ("58030", True),
        ("0A000", True),
        ("26000", True),
        ("08P01", True),
        ("40P01", False),
        ("23505", False),
        ("42501", False),
        ("53100", False),
        ("57014", False),
        (None, False),
    ],
)
def test_after_an_error_that_breaks_the_session_postgres_gets_a_new_connection(
    state: str | None, discarded: bool
) -> None:
    orig = psycopg.errors.OperationalError("says")
    orig.sqlstate = state
    assert is_discarded(postgres_errors.discard_session, orig) is discarded


@pytest.mark.parametrize(
    ("number", "discarded"),
    [(3906, True), (976, True), (3947, True), (3952, True), (49918, True), (1205, False), (2627, False), (229, False)],
)
def test_after_an_error_that_breaks_the_session_sql_server_gets_a_new_connection(number: int, discarded: bool) -> None:
    orig = Exception("42000", f"[42000] {SERVER}It says so. ({number}) (SQLExecDirectW)")
    assert is_discarded(sqlserver_errors.discard_session, orig) is discarded
