"""Rebuilds of a read database in memory: no other process can see it, so they are tasks of this one."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Self

from application.ports.generations import Build
from domain.errors import PostlogError

logger = logging.getLogger(__name__)


class MemoryRebuildProcess:
    """Used by `async with`; all end when the block ends. `rebuild` begins one."""

    def __init__(self, rebuild: Callable[[], AsyncGenerator[Build]]) -> None:
        self._rebuild = rebuild
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def start(self, adapter: str) -> int:  # noqa: ARG002 (there is one only)
        building = self._rebuild()
        first = await anext(building)
        task = asyncio.create_task(_finish(building))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return first.generation


async def _finish(building: AsyncGenerator[Build]) -> None:
    async with aclosing(building):
        try:
            async for _ in building:
                await asyncio.sleep(0)
        except PostlogError as error:
            logger.warning("the rebuild in memory stopped: %s", error.message)
