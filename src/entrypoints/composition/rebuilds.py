"""Rebuilds that a service begins, of the live read database or of another one that is configured beside it."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from application.maintenance.rebuilds import Rebuilds
from application.ports.generations import Build, Generations, RebuildProcess
from entrypoints.composition.container import Container, container_for
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.settings.loading import to_line
from entrypoints.settings.model import Settings

_COMMAND = (sys.executable, "-m", "entrypoints.cli.rebuild_process")


@asynccontextmanager
async def with_rebuilds(container: Container, adapters: frozenset[str]) -> AsyncIterator[Rebuilds]:
    """On an open log and an open read database. `adapters` are those of the read databases that may be rebuilt. What
    was begun ends with the block."""
    settings = container.settings()
    live = settings.read_db.adapter
    live_read_db: ReadDbParts = container.read_db()
    async with AsyncExitStack() as stack:
        others = _OtherReadDbs(settings, stack)

        async def generations_of(adapter: str) -> Generations | None:
            if adapter == live:
                return live_read_db.generations
            return await others.generations(adapter)

        yield Rebuilds(
            live=live,
            adapters={"memory"} if live == "memory" else adapters,
            generations_of=generations_of,
            process=await stack.enter_async_context(_process(container)),
            clock=container.clock(),
        )


class _OtherReadDbs:
    """Opened when they are first asked for, closed with `stack`."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._opened: dict[str, Generations] = {}
        self._opening = asyncio.Lock()

    async def generations(self, adapter: str) -> Generations | None:
        if adapter == "sqlite" and not _is_there(self._settings.read_db.sqlite.path):
            return None  # looking must not make it
        async with self._opening:
            if adapter not in self._opened:
                container = container_for(_with_read_db(self._settings, adapter), may_make_tables=False)
                lifetime = await self._stack.enter_async_context(Lifetime(container))
                self._opened[adapter] = (await lifetime.open_read_db()).generations
            return self._opened[adapter]


def _is_there(path: str) -> bool:
    return Path(path).exists()


@asynccontextmanager
async def _process(container: Container) -> AsyncIterator[RebuildProcess]:
    settings = container.settings()
    if settings.read_db.adapter == "memory":
        from adapters.memory.generations import MemoryRebuildProcess

        async with MemoryRebuildProcess(lambda: _rebuild_here(container)) as tasks:
            yield tasks
        return
    from adapters.system.rebuild_process import SystemRebuildProcess

    async with SystemRebuildProcess(_COMMAND, lambda adapter: to_line(_with_read_db(settings, adapter))) as processes:
        yield processes


async def _rebuild_here(container: Container) -> AsyncGenerator[Build]:
    async with aclosing(container.rebuild().run()) as building:
        async for build in building:
            yield build
    await container.parked_retry().retry_all()


def _with_read_db(settings: Settings, adapter: str) -> Settings:
    """For a rebuild, which has nothing to do with a bus."""
    return replace(
        settings,
        read_db=replace(settings.read_db, adapter=adapter),
        bus=replace(settings.bus, adapter="log"),
    )
