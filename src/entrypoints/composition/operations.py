"""Rebuilds that a running service starts, of the live read database or of another one that is configured beside it; and
what else operators watch and start from its pages."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from adapters.memory.generations import MemoryRebuildProcess
from application.errors import RebuildCancelled, RebuildNotBegun
from application.maintenance.rebuilds import Rebuilds
from application.ports.generations import Build, Generations, RebuildProcess
from domain.errors import PostlogError
from entrypoints.composition.container import Container
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.composition.resources import Resources
from entrypoints.composition.worker_process import (
    HandlerFactory,
    ProcessEnded,
    RequestHandler,
    WorkerProcess,
    sharded_batches,
)
from entrypoints.settings.loading import LoadedSettings, for_child
from entrypoints.settings.model import Settings
from entrypoints.web.services import Operations

_SECONDS_TO_BEGIN = 30.0

logger = logging.getLogger(__name__)


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
    async with RebuildProcesses(lambda adapter: for_child(_with_read_db(settings, adapter))) as processes:
        yield processes


class RebuildProcesses:
    """Used by `async with`. Each rebuild has a child process, which ends with the block: a rebuild can be killed at any
    moment, and resumed. `loaded_for(adapter)` are the child's settings."""

    def __init__(self, loaded_for: Callable[[str], LoadedSettings], make: HandlerFactory | None = None) -> None:
        self._loaded_for = loaded_for
        self._make = make or rebuilding
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def start(self, adapter: str) -> int:
        begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(adapter, begun), name=f"rebuild of {adapter}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            async with asyncio.timeout(_SECONDS_TO_BEGIN):
                return await begun
        except TimeoutError:
            task.cancel()
            await asyncio.wait([task])
            raise RebuildNotBegun(f"The rebuild did not begin within {_SECONDS_TO_BEGIN:g} seconds.") from None
        except BaseException:
            task.cancel()
            raise

    async def _run(self, adapter: str, begun: asyncio.Future[int]) -> None:
        try:
            async with WorkerProcess(self._loaded_for(adapter), "rebuild", self._make, a_parent=True) as process:
                generation: int = await process.ask("begin")
                begun.set_result(generation)
                which = f"the rebuild of {adapter}, generation {generation},"
                try:
                    await process.ask("finish")
                    logger.info("%s is live", which)
                except RebuildCancelled:
                    logger.info("%s was cancelled", which)
                except ProcessEnded:
                    logger.warning("%s ended before it was done", which)
                except PostlogError as error:
                    logger.warning("%s stopped: %s", which, error.message)
        except ProcessEnded:
            begun.set_exception(
                RebuildNotBegun("The process of the rebuild ended before it began; the service's log says why.")
            )
        except PostlogError as error:
            begun.set_exception(error)


async def rebuilding(container: Container, resources: Resources) -> RequestHandler:
    """In the child. The first request begins the rebuild, the second one finishes it."""
    await resources.open_log()
    await resources.open_read_db()
    settings = container.settings()
    batches = None
    if settings.rebuild.workers > 1:
        batches = await resources.enter(sharded_batches(for_child(settings), "rebuild", container))
    building = await resources.enter(aclosing(container.rebuild(batches=batches).run()))

    async def handle(request: str) -> int | None:
        if request == "begin":
            build: Build = await anext(building)
            return build.generation
        async for _ in building:
            continue
        return None

    return handle


def _with_read_db(settings: Settings, adapter: str) -> Settings:
    """A rebuild uses no bus."""
    return replace(
        settings,
        read_db=replace(settings.read_db, adapter=adapter),
        bus=replace(settings.bus, adapter="log"),
    )
