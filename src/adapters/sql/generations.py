"""Builds of a SQL read database. The work itself is `building`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from adapters.sql.database import SqlDatabase
from application.errors import RebuildRunning
from application.ports.generations import Build, LastStep
from application.ports.read_db import Fold, LiveGeneration, Touched

_PATIENCE = 1.0
_POLL_SECONDS = 0.05


class SqlGenerations:
    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def lock(self) -> AbstractAsyncContextManager[None]:
        return self._holding_the_lock()

    @asynccontextmanager
    async def _holding_the_lock(self) -> AsyncIterator[None]:
        release = await self._lock_within(_PATIENCE)
        if release is None:
            raise RebuildRunning(f"Another rebuild of the read database {self._database.address.place} is running.")
        try:
            yield
        finally:
            await asyncio.to_thread(release)

    async def _lock_within(self, seconds: float) -> Callable[[], None] | None:
        """Whoever asks whether it is locked holds it for a moment, too; and one that was cancelled is about to go."""
        until = time.monotonic() + seconds
        while True:
            release = await self._try_lock()
            if release is not None or time.monotonic() >= until:
                return release
            await asyncio.sleep(_POLL_SECONDS)

    async def is_locked(self) -> bool:
        release = await self._try_lock()
        if release is not None:
            await asyncio.to_thread(release)
        return release is None

    async def _try_lock(self) -> Callable[[], None] | None:
        return await self._database.run(lambda opened: opened.try_lock())

    async def builds(self, limit: int = 20) -> Sequence[Build]:
        return await self._database.run(lambda opened: opened.building.builds(limit))

    async def begin(self, log_id: str, target: int, now: datetime) -> Build:
        return await self._database.run(lambda opened: opened.building.begin(log_id, target, now))

    async def empty(self, build: Build, now: datetime) -> Build:
        return await self._database.run(lambda opened: opened.building.empty(build, now))

    async def load(self, build: Build, after: Build, touched: Touched, fold: Fold) -> None:
        await self._database.run(lambda opened: opened.building.load(build, after, touched, fold))

    async def swap(self, build: Build, last_step: LastStep, now: datetime, *, keep_checkpoints: bool) -> LiveGeneration:
        return await self._database.run(
            lambda opened: opened.building.swap(build, last_step, now, keep_checkpoints=keep_checkpoints)
        )

    async def cancel(self, build: Build, now: datetime) -> None:
        await self._database.run(lambda opened: opened.building.cancel(build, now))

    async def note_failure(self, build: Build, error: str) -> None:
        await self._database.run(lambda opened: opened.building.note_failure(build, error))
