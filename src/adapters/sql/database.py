"""A read database in SQL, as the rest of the program holds it.

Nothing here imports SQLAlchemy: that takes longer than the whole web framework. It is left to the thread that first
needs it, so that a process that starts can answer commands before.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self, TypeVar

from adapters.sql.threads import Threads
from application.errors import ReadDbUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.sql.address import Address
    from adapters.sql.backend import SqlBackend
    from adapters.sql.open_database import OpenDatabase

T = TypeVar("T")

_CLOSING_SECONDS = 5.0


class SqlDatabase:
    """Opened by `async with`: `check` may refuse then what can be refused at once (`CannotOpen`), and a server that is
    away is no reason to. `connect` makes the engine. Both run in a thread. At most `threads` calls are under way, each
    on a connection of its own."""

    def __init__(
        self, *, address: Address, threads: int, check: Callable[[], None], connect: Callable[[], SqlBackend]
    ) -> None:
        self.address = address
        self._check = check
        self._connect = connect
        self._threads = Threads("postlog-read-db", threads)
        self._opening = threading.Lock()
        self._open: OpenDatabase | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        try:
            await self._threads.run(self._check)
        except BaseException:
            await self._threads.close(_CLOSING_SECONDS)
            raise
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        await self._threads.close(_CLOSING_SECONDS)
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    async def run(self, work: Callable[[OpenDatabase], T], seconds: float | None = None) -> T:
        """Run `work` in a thread; it may be repeated. Raises `ReadDbUnavailable`, also when it took longer than
        `seconds`, and `SchemaOutdated` when the tables are not there."""
        if not self._is_open:
            raise self._away("it is closed")
        if self._open is None:
            await self._threads.run(self._opened)  # imports, which may take seconds and say nothing of the database
        asked = threading.Event()
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._threads.run(lambda: self._perform(work, asked))
        except TimeoutError as error:
            if not limit.expired():
                raise
            busy = "" if asked.is_set() else "; all connections of this process (pool_size) wait for answers"
            raise self._away(f"no answer within {seconds:g} seconds{busy}") from error

    def _perform(self, work: Callable[[OpenDatabase], T], asked: threading.Event) -> T:
        asked.set()
        opened = self._opened()
        try:
            return opened.attempt(work)
        finally:
            if not self._is_open:  # it was closed without waiting for us
                opened.close()

    def _opened(self) -> OpenDatabase:
        with self._opening:
            if not self._is_open:
                raise self._away("it is closed")
            if self._open is None:
                from adapters.sql.open_database import OpenDatabase

                self._open = OpenDatabase(self._connect(), self.address)
            return self._open

    def _away(self, reason: str) -> ReadDbUnavailable:
        return ReadDbUnavailable(self.address.away(reason), path=self.address.setting)
