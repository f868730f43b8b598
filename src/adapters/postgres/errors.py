"""What PostgreSQL's errors mean."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from adapters.sql.backend import Trouble

_TRANSIENT = {
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # lock not available
    "57P01",  # an administrator ended the session
    "57P02",  # the server crashed and comes back
    "25P03",  # the session was idle in a transaction for too long: this process had been stopped
    "57P05",  # the session was idle for too long
}
_NO_TABLES = {"42P01", "3F000"}
_NO_RIGHTS = "42501"


def trouble(error: DBAPIError) -> Trouble:
    state = getattr(error.orig, "sqlstate", None)
    if state in _NO_TABLES:
        return Trouble.NO_TABLES
    if error.connection_invalidated or state in _TRANSIENT:
        return Trouble.TRANSIENT
    if state == _NO_RIGHTS or isinstance(error, OperationalError | InterfaceError):
        return Trouble.AWAY
    return Trouble.FAULT
