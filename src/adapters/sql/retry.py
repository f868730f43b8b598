"""Runs work on a database: repeats it where that helps, and says in one sentence what is wrong where it doesn't."""

from collections.abc import Callable
from typing import TypeVar

import stamina
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    InvalidRequestError,
    MultipleResultsFound,
    NoResultFound,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.sql.address import Address
from adapters.sql.backend import ErrorKind, SqlBackend
from application.errors import ReadDbUnavailable, SchemaOutdated

T = TypeVar("T")

_REPEATS = 6
_SECONDS = 5.0


def with_retry(backend: SqlBackend, address: Address, work: Callable[[], T]) -> T:
    """Raises `ReadDbUnavailable` for a database that is away, stays busy or reports an error, whichever; and
    `SchemaOutdated` for one without tables. What `work` raises itself comes out as it is, and so does what a driver
    raises before the server is asked: that is a fault of ours."""
    try:
        try:
            return work()
        except DBAPIError as error:
            if backend.error_kind(error) is not ErrorKind.TRANSIENT:
                raise
        return _retried(backend, work)
    except DBAPIError as error:
        match backend.error_kind(error):
            case ErrorKind.TRANSIENT | ErrorKind.AWAY:
                raise ReadDbUnavailable(address.away(error.orig), path=address.setting) from error
            case ErrorKind.REFUSED:
                sentence = address.reported(error.orig, backend.remedy(error))
                raise ReadDbUnavailable(sentence, path=address.setting) from error
            case ErrorKind.NO_TABLES:
                raise SchemaOutdated(tables_missing(address), path=address.setting) from error
            case ErrorKind.FAULT:
                raise
    except (NoResultFound, MultipleResultsFound) as error:
        raise ReadDbUnavailable(_not_one_row(address), path=address.setting) from error
    except (InvalidRequestError, DisconnectionError, PoolTimeout) as error:
        # SQLAlchemy's own, of a connection that was lost between two statements, or while it was made.
        raise ReadDbUnavailable(address.away(error), path=address.setting) from error


def tables_missing(address: Address) -> str:
    return f"The read database {address.place} ({address.setting}) has no tables yet; run `postlog init`."


def _not_one_row(address: Address) -> str:
    return (
        f"The read database {address.place} ({address.setting}) does not have the one row in its table read_db that "
        f"names the live rows; restore the database, or drop its tables and run `postlog init`."
    )


def _retried(backend: SqlBackend, work: Callable[[], T]) -> T:
    def is_transient(error: Exception) -> bool:
        return isinstance(error, DBAPIError) and backend.error_kind(error) is ErrorKind.TRANSIENT

    caller = stamina.RetryingCaller(
        attempts=_REPEATS, timeout=_SECONDS, wait_initial=0.01, wait_max=0.5, wait_jitter=0.05
    )
    return caller(is_transient, work)
