"""What a process holds open: opened in order, closed in the opposite one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from application.command_side.post_commands import PostCommands
from entrypoints.composition.bus import BusParts
from entrypoints.composition.container import Container
from entrypoints.composition.log import LogParts
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.composition.tracing import TracingParts

DRAIN_SECONDS = 1.0
"""How long commands in flight may take when the process ends. Later ones may be stored or not: their callers get no
response, and retry."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Resources:
    """Used by `async with`; what was opened through it is closed when the block ends, whatever happens in it. Opening
    raises `CannotOpen` for a local file, and nothing for a server that does not respond."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tracing: TracingParts | None = self._container.tracing()
        if tracing is not None:  # opened first, so closed last: it exports the spans of all the rest
            await self.enter(tracing.exporting)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        return await self._stack.enter_async_context(resource)

    async def open_log(self) -> LogParts:
        log: LogParts = self._container.log()
        await self._open(log.resource)
        return log

    async def open_read_db(self) -> ReadDbParts:
        read_db: ReadDbParts = self._container.read_db()
        await self._open(read_db.resource)
        return read_db

    async def open_bus(self) -> BusParts | None:
        """None where there is no bus. Its topic needs nothing to be opened."""
        bus: BusParts | None = self._container.bus()
        return bus

    async def open_publisher(self, bus: BusParts) -> None:
        await self._open(bus.publishing)

    async def open_subscription(self, bus: BusParts) -> None:
        await self._open(bus.subscribing)

    async def open_commands(self) -> PostCommands:
        """On an open log. When the block ends, commands in flight are finished first."""
        commands: PostCommands = self._container.commands()
        self._stack.push_async_callback(_drain, commands.stop)
        return commands

    async def _open(self, resource: AbstractAsyncContextManager[Any] | None) -> None:
        if resource is not None:
            await self.enter(resource)


async def _drain(stop: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await stop()
    except TimeoutError:
        logger.warning("commands in flight were not settled within %g s", DRAIN_SECONDS)
