"""Work on a read database whose engine exists: it runs in a thread, is retried where that helps, and what fails is said
in one sentence."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

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
from adapters.threads import DaemonThreadPool

T = TypeVar("T")
P = ParamSpec("P")

_RETRIES = 6
_RETRY_SECONDS = 5.0
_CLOSING_SECONDS = 5.0


class Database:
    def __init__(
        self, backend: SqlBackend, address: Address, threads: DaemonThreadPool, is_open: Callable[[], bool]
    ) -> None:
        self.backend = backend
        self.address = address
        self._threads = threads
        self._is_open = is_open

    async def run(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """Run `work` in a thread; it may be repeated. Raises `ReadDbUnavailable`, also when it took longer than
        `seconds`, and `SchemaOutdated` when there are no tables."""
        has_started = threading.Event()
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._threads.run(lambda: self._perform(work, has_started))
        except TimeoutError as error:
            if not limit.expired():
                raise
            busy = "" if has_started.is_set() else "; all connections of this process (pool_size) wait for answers"
            raise self.address.unreachable(f"no answer within {seconds:g} seconds{busy}") from error

    @asynccontextmanager
    async def own_thread(self) -> AsyncIterator["Database"]:
        """For calls that keep a connection from one to the next: all other threads may be waiting for it."""
        thread = DaemonThreadPool("postlog-read-db-transaction", 1)
        try:
            yield Database(self.backend, self.address, thread, self._is_open)
        finally:
            await thread.close(_CLOSING_SECONDS)

    def close(self) -> None:
        """Connections in use are closed by the next call, once they are returned to the pool."""
        self.backend.engine.pool.dispose()

    def _perform(self, work: Callable[[], T], has_started: threading.Event) -> T:
        has_started.set()
        if not self._is_open():
            raise self.address.unreachable("it is closed")
        try:
            return with_retry(self.backend, self.address, work)
        finally:
            if not self._is_open():  # it was closed without waiting for this call
                self.close()


class SqlPort:
    """A port on a read database. `Database.run` runs the body of each method that is marked `in_thread`, within
    `seconds` (None: without a limit)."""

    def __init__(self, database: Database, seconds: float | None = None) -> None:
        self._database = database
        self._backend = database.backend
        self._seconds = seconds


S = TypeVar("S", bound=SqlPort)


def in_thread(work: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.run(partial(work, self, *args, **kwargs), self._seconds)

    update_wrapper(run, work)
    return run


def with_retry(backend: SqlBackend, address: Address, work: Callable[[], T]) -> T:
    """Raises `ReadDbUnavailable` for a database that is unreachable, stays busy or reports any error, and
    `SchemaOutdated` for one without tables. Exceptions of `work` itself pass unchanged, and so does what a driver
    raises before it asks the server: that is a bug of ours."""
    try:
        try:
            return work()
        except DBAPIError as error:
            if backend.error_kind(error) is not ErrorKind.TRANSIENT:
                raise
        return _retried(backend, work)
    except DBAPIError as error:
        match backend.error_kind(error):
            case ErrorKind.TRANSIENT | ErrorKind.UNREACHABLE:
                raise address.unreachable(error.orig) from error
            case ErrorKind.REPORTED:
                raise address.reported(error.orig, backend.remedy(error)) from error
            case ErrorKind.NO_TABLES:
                raise address.without_tables() from error
            case ErrorKind.BUG:
                raise
    except (NoResultFound, MultipleResultsFound) as error:
        raise address.without_live_row() from error
    except (InvalidRequestError, DisconnectionError, PoolTimeout) as error:
        # SQLAlchemy's own, about a connection that was lost between two statements or while it was opened.
        raise address.unreachable(error) from error


def _retried(backend: SqlBackend, work: Callable[[], T]) -> T:
    def is_transient(error: Exception) -> bool:
        return isinstance(error, DBAPIError) and backend.error_kind(error) is ErrorKind.TRANSIENT

    caller = stamina.RetryingCaller(
        attempts=_RETRIES, timeout=_RETRY_SECONDS, wait_initial=0.01, wait_max=0.5, wait_jitter=0.05
    )
    return caller(is_transient, work)
