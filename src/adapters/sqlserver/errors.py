"""What SQL Server's errors mean, by their number. A server that speaks its protocol may send other numbers; those
errors are recognized by their text."""

import re

from sqlalchemy import ExceptionContext
from sqlalchemy.exc import DBAPIError

from adapters.sql.backend import ErrorKind

_NUMBER = re.compile(r"\((\d+)\)(?= \(SQL|; \[|$)")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_OF_THE_SERVER = "[SQL Server]"
_CONNECTING = "(SQLDriverConnect)"
_TIMED_OUT = {"HYT00", "HYT01"}
_BROKEN = ("08", "01", "HY010")
"""States in which SQLAlchemy considers a connection broken."""

_TRANSIENT = {
    1205,  # deadlock
    1222,  # a lock was not granted in time
    3952,  # snapshots were switched off
    3960,  # snapshot: the row was changed by another
    3961,  # snapshot: the table was changed by another
    596,  # an administrator ended the session
    6005,  # the server is being shut down
    40197,  # the database moves to another server
    40501,  # the server is busy
    40613,  # the database is not available at the moment
}
_NO_TABLES = 208
_NO_SNAPSHOTS = 3952
_ABOUT_THE_STATEMENT = {102, 156, 207, 208, 213, 229, 230, 262, 515, 547, 1205, 1222, 2601, 2627, 3960, 3961}
"""Errors after which the session is still usable. After any other that the server reports, the next attempt uses a new
connection: the server may have been demoted, for example, and this session would stay read-only for its whole life."""

_TRANSIENT_TEXT = re.compile(r"due to lock timeout|could not serialize access|deadlock detected")
_NO_TABLES_TEXT = re.compile(r'relation "[^"]*" does not exist')

_TAKES_NO_WRITES = "it takes no writes now: name the server that does, or let it take writes again"
_NOT_THE_PRIMARY = "name the primary of its availability group, or the group's listener"
_RIGHTS = "`postlog init` with an administrator's address gives the login its rights"
_PASSWORD = "`postlog init` with an administrator's address sets the login's password"  # noqa: S105
_NOT_ONLINE = "it must be online, and open to several users: ALTER DATABASE … SET ONLINE, SET MULTI_USER"
_FULL = "free space for the database and its transaction log"
_OVERLOADED = "the server is at its limit; give it more resources, or lower read_db.sqlserver.pool_size"
_DAMAGED = "the server's disk or memory is faulty: see its error log"

_REMEDIES = {
    **dict.fromkeys((3906, 3908), _TAKES_NO_WRITES),
    **dict.fromkeys((976, 978, 979, 983), _NOT_THE_PRIMARY),
    **dict.fromkeys((229, 230, 262, 916), _RIGHTS),
    **dict.fromkeys((18456, 18452), "check the login and the password in the address"),
    **dict.fromkeys((18486, 18487, 18488), _PASSWORD),
    **dict.fromkeys((911, 4060), "`postlog init` with an administrator's address creates database and user"),
    **dict.fromkeys((921, 922, 924, 926, 927, 942, 945, 952), _NOT_ONLINE),
    **dict.fromkeys((1101, 1105, 9002), _FULL),
    **dict.fromkeys((701, 802, 1204, 8645, 8651, 10928, 10929, 40501, 49918, 49919, 49920), _OVERLOADED),
    **dict.fromkeys((823, 824, 825, 9001, 9004), _DAMAGED),
}


def error_kind(error: DBAPIError) -> ErrorKind:
    state, text = _parts(error.orig)
    numbers = _numbers(text)
    if _NO_TABLES in numbers or _NO_TABLES_TEXT.search(text):
        return ErrorKind.NO_TABLES
    if _CONNECTING in text:
        return ErrorKind.REPORTED if _OF_THE_SERVER in text else ErrorKind.UNREACHABLE
    if state in _TIMED_OUT:
        return ErrorKind.UNREACHABLE
    if numbers & _TRANSIENT or _TRANSIENT_TEXT.search(text):
        return ErrorKind.TRANSIENT
    if error.connection_invalidated and state.startswith(_BROKEN):
        return ErrorKind.TRANSIENT
    if _OF_THE_SERVER in text:
        return ErrorKind.REPORTED
    return ErrorKind.UNREACHABLE if _SQLSTATE.fullmatch(state) else ErrorKind.BUG


def remedy(error: DBAPIError) -> str:
    _, text = _parts(error.orig)
    return next((_REMEDIES[int(number)] for number in _NUMBER.findall(text) if int(number) in _REMEDIES), "")


def discard_session(context: ExceptionContext) -> None:
    """Called for every error. When snapshots were switched off, connections that rely on them are discarded."""
    state, text = _parts(context.original_exception)
    is_about_statement = bool(_numbers(text) & _ABOUT_THE_STATEMENT) or state.startswith(("22", "23"))
    if _NO_SNAPSHOTS in _numbers(text) or (_OF_THE_SERVER in text and not is_about_statement):
        context.is_disconnect = True


def _numbers(text: str) -> set[int]:
    return {int(number) for number in _NUMBER.findall(text)}


def _parts(error: BaseException | None) -> tuple[str, str]:
    """SQLSTATE, and the whole message."""
    args = ("", "") if error is None or not error.args else error.args
    return str(args[0]), str(args[-1])
