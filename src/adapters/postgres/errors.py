"""What PostgreSQL's errors mean, by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""

from sqlalchemy import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from adapters.sql.backend import ErrorKind

_TRANSIENT = {
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # lock not available
    "57P01",  # an administrator ended the session
    "57P02",  # the server crashed and restarts
    "25P03",  # the session was idle in a transaction for too long: this process had been stopped
    "25P04",  # the same, of a transaction as a whole
    "57P05",  # the session was idle for too long
    "26000",  # the prepared statement is unknown, as it is to another session behind a pooler
    "42P05",  # it is prepared already
}
_NO_TABLES = "42P01"
_QUERY_CANCELED = "57014"

_ABOUT_THE_STATEMENT = {"21", "22", "23", "28", "40", "42", "44", "53", "54", "55"}
"""Classes of errors after which the session is still usable. After any other, the next attempt uses a new connection:
the server may have been demoted, for example, and this session would stay read-only for its whole life."""

_STALE_STATEMENT = {"26000", "42P05"}

_REMEDIES = {
    "25006": "it takes no writes now: after a failover, name the server that does, or let it take writes again",
    "22P05": "it can't hold every text: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 creates one that can; "
    "name that one in read_db.postgres.url, and run `postlog init`",
    "3F000": "the login's search_path names no existing schema: CREATE SCHEMA public, or set another path",
    "42501": "`postlog init` with an administrator's address gives the login its rights",
    "53100": "free space on the server's disk",
    "53200": "the server is out of memory",
    "53300": "let the server take more connections (max_connections), or lower read_db.postgres.pool_size",
    "57014": "the statement took longer than it may, or an administrator cancelled it",
}
_FATAL_REMEDIES = {
    "password authentication failed": "check the login and the password in the address",
    "does not exist": "`postlog init` with an administrator's address creates database and login",
    "no pg_hba.conf entry": "let the login in by the server's pg_hba.conf",
    "permission denied for database": "`postlog init` with an administrator's address gives the login its rights",
    "not currently accepting connections": "ALTER DATABASE … ALLOW_CONNECTIONS true lets logins in again",
}


def error_kind(error: DBAPIError) -> ErrorKind:
    state = getattr(error.orig, "sqlstate", None)
    if state == _NO_TABLES:
        return ErrorKind.NO_TABLES
    if state in _TRANSIENT or (error.connection_invalidated and (state is None or state.startswith("08"))):
        return ErrorKind.TRANSIENT
    if state is not None or _fatal(error):
        return ErrorKind.REPORTED
    return ErrorKind.UNREACHABLE if isinstance(error, OperationalError | InterfaceError) else ErrorKind.BUG


def remedy(error: DBAPIError) -> str:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _REMEDIES.get(state, "")
    said = _fatal(error)
    return next((remedy for words, remedy in _FATAL_REMEDIES.items() if words in said), "")


def server_message(reason: object) -> str:
    """Without the addresses that libpq puts before the server's message."""
    return _fatal_in(str(reason)) or str(reason)


def breaks_session(error: BaseException) -> bool:
    state = getattr(error, "sqlstate", None)
    if state is None or state == _QUERY_CANCELED:
        return False
    return state in _STALE_STATEMENT or state[:2] not in _ABOUT_THE_STATEMENT


def discard_session(context: ExceptionContext) -> None:
    """Called for every error."""
    if breaks_session(context.original_exception):
        context.is_disconnect = True


def _fatal(error: DBAPIError) -> str:
    """Why the server refused the connection: psycopg has no SQLSTATE for that."""
    return _fatal_in(str(error.orig))


def _fatal_in(text: str) -> str:
    _, found, said = text.partition("FATAL: ")
    return said.strip() if found else ""
