"""A read database whose engine is there: everything that runs in threads."""

from collections.abc import Callable
from typing import TypeVar

from adapters.sql.address import Address
from adapters.sql.auditing import Auditing
from adapters.sql.backend import SqlBackend
from adapters.sql.building import BuildWriter
from adapters.sql.live_row import LiveRow
from adapters.sql.parked_reading import ParkedReading
from adapters.sql.projecting import Projecting
from adapters.sql.reading import Reading
from adapters.sql.retry import with_retry
from adapters.sql.schema import Schema

T = TypeVar("T")


class OpenDatabase:
    def __init__(self, backend: SqlBackend, address: Address) -> None:
        self._backend = backend
        self._pool = backend.engine.pool
        self._address = address
        self.live_row = LiveRow(backend)
        self.projecting = Projecting(backend)
        self.reading = Reading(backend)
        self.parked = ParkedReading(backend)
        self.schema = Schema(backend, address)
        self.building = BuildWriter(backend)
        self.auditing = Auditing(backend)
        self.try_lock = backend.try_lock

    def attempt(self, work: Callable[["OpenDatabase"], T]) -> T:
        return with_retry(self._backend, self._address, lambda: work(self))

    def close(self) -> None:
        """Connections that are in use are closed by the next call, once they are given back."""
        self._pool.dispose()
