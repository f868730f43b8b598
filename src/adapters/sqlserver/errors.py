"""What SQL Server's errors mean. A server that speaks its protocol gives some other numbers; those are told by their
text."""

import re

from sqlalchemy import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from adapters.sql.backend import Trouble

_NUMBER = re.compile(r"\((\d+)\)(?= \(SQL|; \[|$)")
_TIMED_OUT = {"HYT00", "HYT01"}
_TRANSIENT = {
    1205,  # deadlock
    1222,  # a lock was not had in time
    3960,  # snapshot: the row was changed by another
    3961,  # snapshot: the table was changed by another
    596,  # an administrator ended the session
    6005,  # the server is being shut down
    40197,  # the database moves to another server
    40501,  # the server is busy
    40613,  # the database is not there at the moment
}
_AWAY = {
    229,  # no right on the table
    230,  # no right on the column
    262,  # no right in the database
    916,  # no right to use the database
    911,  # no such database
    4060,  # the database can't be opened
    18456,  # login failed
    701,  # out of memory
    802,  # out of memory
    8645,  # waited for memory for too long
    1105,  # the disk is full
    9002,  # the transaction log is full
    924,  # somebody has the database for himself
    927,  # the database is being restored
    942,  # the database is offline
    3906,  # the database is read-only
}
_NO_TABLES = 208
_NO_SNAPSHOTS = 3952
_TRANSIENT_TEXT = re.compile(r"due to lock timeout|could not serialize access|deadlock detected")
_NO_RIGHTS_TEXT = re.compile(r"permission denied for")
_NO_TABLES_TEXT = re.compile(r'relation "[^"]*" does not exist')


def give_up_snapshots(context: ExceptionContext) -> None:
    """Called for every error. When snapshots were switched off, connections that rely on them are not used again."""
    if _NO_SNAPSHOTS in _numbers(_parts(context.original_exception)[1]):
        context.is_disconnect = True


def trouble(error: DBAPIError) -> Trouble:
    state, text = _parts(error.orig)
    numbers = _numbers(text)
    if _NO_TABLES in numbers or _NO_TABLES_TEXT.search(text):
        return Trouble.NO_TABLES
    if state in _TIMED_OUT or "(SQLDriverConnect)" in text or numbers & _AWAY or _NO_RIGHTS_TEXT.search(text):
        return Trouble.AWAY
    if error.connection_invalidated or numbers & _TRANSIENT or _TRANSIENT_TEXT.search(text):
        return Trouble.TRANSIENT
    return Trouble.AWAY if isinstance(error, OperationalError | InterfaceError) else Trouble.FAULT


def _numbers(text: str) -> set[int]:
    return {int(number) for number in _NUMBER.findall(text)}


def _parts(error: BaseException | None) -> tuple[str, str]:
    """SQLSTATE, and everything that was said."""
    args = ("", "") if error is None or not error.args else error.args
    return str(args[0]), str(args[-1])
