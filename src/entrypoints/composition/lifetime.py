"""What a process holds open: opened in order, closed in the opposite one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from application.command_side.post_commands import PostCommands
from application.maintenance.rebuilds import Rebuilds
from entrypoints.composition.bus import BusParts
from entrypoints.composition.container import Container
from entrypoints.composition.event_store import LogParts
from entrypoints.composition.read_db import ReadDbParts

if TYPE_CHECKING:
    from entrypoints.web.services import Operations

DRAIN_SECONDS = 1.0
"""How long commands under way may take when the process ends. Those beyond may be stored or not: their callers got no
answer, and send them again."""

logger = logging.getLogger(__name__)


class Lifetime:
    """Used by `async with`; what was opened through it is closed when the block ends, whatever happens in it. Opening
    raises `CannotOpen` for a local file, and nothing for a server that is away."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def open_log(self) -> LogParts:
        log: LogParts = self._container.log()
        if log.resource is not None:
            await self._stack.enter_async_context(log.resource)
        return log

    async def open_read_db(self) -> ReadDbParts:
        read_db: ReadDbParts = self._container.read_db()
        if read_db.resource is not None:
            await self._stack.enter_async_context(read_db.resource)
        return read_db

    async def open_bus(self) -> BusParts | None:
        """Nothing is to be opened for its topic. None where there is no bus."""
        bus: BusParts | None = self._container.bus()
        return bus

    async def open_rebuilds(self, adapters: frozenset[str]) -> Rebuilds:
        """On an open log and an open read database. `adapters` are those of the read databases that may be rebuilt.
        What it begins ends with the block."""
        from entrypoints.composition.rebuilds import with_rebuilds

        return await self._stack.enter_async_context(with_rebuilds(self._container, adapters))

    async def open_operations(self, rebuilds: Rebuilds) -> "Operations":
        """On an open log and an open read database. What operators begin from the pages ends with the block."""
        from entrypoints.composition.operations import with_operations

        return await self._stack.enter_async_context(with_operations(self._container, rebuilds))

    async def open_publisher(self, bus: BusParts) -> None:
        if bus.publishing is not None:
            await self._stack.enter_async_context(bus.publishing)

    async def open_subscription(self, bus: BusParts) -> None:
        await self._stack.enter_async_context(bus.subscribing)

    async def open_commands(self) -> PostCommands:
        """On an open log. When the block ends, commands under way are finished first."""
        commands: PostCommands = self._container.commands()
        self._stack.push_async_callback(_drain, commands.stop)
        return commands


async def _drain(stop: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await stop()
    except TimeoutError:
        logger.warning("commands under way were not settled within %g s", DRAIN_SECONDS)
