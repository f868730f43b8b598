"""Rebuilds that a running service starts, of the live read database or of another one that is configured beside it; and
what else operators watch and start from its pages."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from adapters.memory.generations import MemoryRebuildProcess
from adapters.system.rebuild_process import SystemRebuildProcess
from application.maintenance.rebuilds import Rebuilds
from application.ports.generations import Generations, RebuildProcess
from entrypoints.composition.container import Container
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import to_line
from entrypoints.settings.model import Settings
from entrypoints.web.services import Operations

_COMMAND = (sys.executable, "-m", "entrypoints.cli.rebuild_process")


async def open_rebuilds(container: Container, resources: Resources, adapters: frozenset[str]) -> Rebuilds:
    """On an open log and an open read database. `adapters` are those of the read databases that may be rebuilt. What
    was started ends with `resources`."""
    live = container.settings().read_db.adapter
    rebuilds: Rebuilds = container.rebuilds(
        adapters={"memory"} if live == "memory" else adapters,
        generations_of=_ReadDbs(container, resources).generations_of,
        process=await resources.enter(_process(container)),
    )
    return rebuilds


@asynccontextmanager
async def open_operations(container: Container, rebuilds: Rebuilds) -> AsyncIterator[Operations]:
    """On an open log and an open read database. What was started ends with the block."""
    operations: Operations = container.operations(rebuilds=rebuilds)
    try:
        yield operations
    finally:
        await operations.audits.cancel()
        await operations.diagnosis.stop()


class _ReadDbs:
    """Those beside the live one are opened on first use."""

    def __init__(self, container: Container, resources: Resources) -> None:
        self._container = container
        self._settings = container.settings()
        self._resources = resources
        self._opened: dict[str, Generations] = {}
        self._opening = asyncio.Lock()

    async def generations_of(self, adapter: str) -> Generations | None:
        if adapter == self._settings.read_db.adapter:
            live: ReadDbParts = self._container.read_db()
            return live.generations
        if adapter == "sqlite" and not _exists(self._settings.read_db.sqlite.path):
            return None  # opening would create it
        async with self._opening:
            if adapter not in self._opened:
                self._opened[adapter] = await self._open(adapter)
            return self._opened[adapter]

    async def _open(self, adapter: str) -> Generations:
        other: ReadDbParts = self._container.other_read_dbs(adapter)
        if other.resource is not None:
            await self._resources.enter(other.resource)
        return other.generations


def _exists(path: str) -> bool:
    return Path(path).exists()


@asynccontextmanager
async def _process(container: Container) -> AsyncIterator[RebuildProcess]:
    settings = container.settings()
    if settings.read_db.adapter == "memory":
        async with MemoryRebuildProcess(lambda: container.rebuild().run()) as tasks:
            yield tasks
        return
    async with SystemRebuildProcess(_COMMAND, lambda adapter: to_line(_with_read_db(settings, adapter))) as processes:
        yield processes


def _with_read_db(settings: Settings, adapter: str) -> Settings:
    """A rebuild uses no bus."""
    return replace(
        settings,
        read_db=replace(settings.read_db, adapter=adapter),
        bus=replace(settings.bus, adapter="log"),
    )
