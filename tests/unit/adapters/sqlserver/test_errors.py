"""What SQL Server's errors mean, in the words of its ODBC driver."""

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError

from adapters.sql.backend import ErrorKind
from adapters.sqlserver.driver import server_message
from adapters.sqlserver.errors import error_kind

DRIVER = "[Microsoft][ODBC Driver 18 for SQL Server]"
SERVER = f"{DRIVER}[SQL Server]"
ANOTHERS_NUMBER = 33557097
"""The number of most errors of a server that speaks SQL Server's protocol."""


def refused(state: str, words: str, number: int, kind: type[DBAPIError] = ProgrammingError) -> DBAPIError:
    """An error of the server."""
    return _error(kind, state, f"[{state}] {SERVER}{words} ({number}) (SQLExecDirectW)")


def failed(
    state: str, words: str, during: str = "SQLExecDirectW", number: int = 0, *, broken: bool = False
) -> DBAPIError:
    """An error of the driver. `broken`: SQLAlchemy does not use the connection again."""
    return _error(OperationalError, state, f"[{state}] {DRIVER}{words} ({number}) ({during})", broken=broken)


def _error(kind: type[DBAPIError], state: str, text: str, *, broken: bool = False) -> DBAPIError:
    driver_error: Any = Exception(state, text)
    return kind("SELECT 1", None, driver_error, connection_invalidated=broken)


DEADLOCK = "Transaction (Process ID 57) was deadlocked and has been chosen as the deadlock victim. Rerun it."


@pytest.mark.parametrize(
    "error",
    [
        refused("40001", DEADLOCK, 1205),
        refused("42000", "Lock request time out period exceeded.", 1222),
        refused("42000", "Snapshot isolation transaction aborted due to update conflict.", 3960),
        refused("42000", "canceling statement due to lock timeout", ANOTHERS_NUMBER),
        refused("42000", "could not serialize access due to concurrent update", ANOTHERS_NUMBER),
        _error(
            ProgrammingError,
            "42000",
            f"[42000] {SERVER}Not prepared. (8180) (SQLExecDirectW); [40001] {SERVER}{DEADLOCK} (1205)",
        ),
    ],
)
def test_conflicts_with_other_transactions_are_transient(error: DBAPIError) -> None:
    assert error_kind(error) is ErrorKind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        failed("08S01", "TCP Provider: Error code 0x2746", number=10054, broken=True),
        failed("08S01", "Communication link failure", broken=True),
        failed("08S01", "Communication link failure", "SQLEndTran", broken=True),
        failed("42000", "Snapshot isolation is not allowed in this database.", number=3952, broken=True),
    ],
)
def test_errors_of_a_broken_connection_are_transient(error: DBAPIError) -> None:
    assert error_kind(error) is ErrorKind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        failed("08001", "TCP Provider: Error code 0x2749", "SQLDriverConnect", 10061, broken=True),
        failed("HYT00", "Login timeout expired", "SQLDriverConnect", broken=True),
        failed("HYT00", "Query timeout expired", broken=True),
        failed("HYT01", "Connection timeout expired"),
        failed("HY000", "Connection is busy with results for another command"),
        _error(ProgrammingError, "HY000", "The driver did not supply an error!"),
    ],
)
def test_a_server_that_does_not_answer_is_unreachable(error: DBAPIError) -> None:
    """Also where SQLAlchemy considers the connection broken: a retry would take as long again."""
    assert error_kind(error) is ErrorKind.UNREACHABLE


@pytest.mark.parametrize(
    "error",
    [
        refused("28000", "Login failed for user 'ann'.", 18456, InterfaceError),
        refused("42000", 'Cannot open database "posts" requested by the login.', 4060),
        refused("42000", "The SELECT permission was denied on the object 'read_db'.", 229),
        refused("42000", "permission denied for table read_db", ANOTHERS_NUMBER),
        refused("42000", "The transaction log for database 'posts' is full.", 9002),
        refused("42000", 'Failed to update database "posts" because the database is read-only.', 3906),
        refused("HY000", "The service has encountered an error processing your request.", 40143, DBAPIError),
        refused("42S22", "Invalid column name 'nope'.", 207),
        refused("42000", "Incorrect syntax near (1205) something.", 102),
    ],
)
def test_all_other_errors_of_a_server_are_reported_and_no_bug_of_ours(error: DBAPIError) -> None:
    assert error_kind(error) is ErrorKind.REPORTED


@pytest.mark.parametrize(
    "error",
    [
        refused("42S02", "Invalid object name 'read_db'.", 208),
        refused("42000", 'relation "read_db" does not exist', ANOTHERS_NUMBER),
    ],
)
def test_missing_tables_are_recognized(error: DBAPIError) -> None:
    assert error_kind(error) is ErrorKind.NO_TABLES


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refused("28000", "Login failed for user 'ann'.", 18456), "Login failed for user 'ann'."),
        (failed("HYT00", "Login timeout expired", "SQLDriverConnect"), "Login timeout expired"),
        (refused("42000", "No column [x] in [y]", 207), "No column [x] in [y]"),
        (
            _error(ProgrammingError, "01000", "[01000] [unixODBC][Driver Manager]Can't open lib 'x' (0) (SQLConnect)"),
            "Can't open lib 'x'",
        ),
        (_error(ProgrammingError, "42000", f"[42000] {SERVER}One (1) (SQLExecDirectW); [42000] Two (2)"), "One"),
    ],
)
def test_only_the_first_message_is_kept(error: DBAPIError, words: str) -> None:
    assert server_message(error.orig) == words


def test_a_reason_of_our_own_is_unchanged() -> None:
    assert server_message("it is closed") == "it is closed"
