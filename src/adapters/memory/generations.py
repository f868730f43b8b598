"""Builds of the read database in memory, and their process: no other process can see this database, so the lock is the
process's own, and rebuilds are its tasks."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Self

from adapters.memory.read_db import MemoryReadDb, SlotRows, read_rows, write_changes
from application.errors import RebuildRunning
from application.ports.generations import UNFINISHED, Build, BuildGone, BuildState
from application.ports.read_db import Checkpoint, Fold, LiveGeneration, RowKeys
from domain.errors import PostlogError


class MemoryGenerations:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db
        self._locked = False

    def lock(self) -> AbstractAsyncContextManager[None]:
        return self._holding_the_lock()

    @asynccontextmanager
    async def _holding_the_lock(self) -> AsyncIterator[None]:
        if self._locked:
            raise RebuildRunning("Another rebuild of this read database is running.")
        self._locked = True
        try:
            yield
        finally:
            self._locked = False

    async def is_locked(self) -> bool:
        return self._locked

    async def builds(self, limit: int = 20) -> Sequence[Build]:
        return sorted(self._read_db.builds.values(), key=lambda build: build.generation, reverse=True)[:limit]

    async def begin(self, log_id: str, target: int, now: datetime) -> Build:
        read_db, live = self._read_db, self._read_db.live
        for build in list(read_db.builds.values()):
            await self.cancel(build, now)
        build = Build(
            generation=max([live.generation, *read_db.builds]) + 1,
            slot="b" if live.slot == "a" else "a",
            state=BuildState.EMPTYING,
            log_id=log_id,
            position=0,
            commit_id="",
            target=target,
            events=0,
            started_at=now,
            updated_at=now,
        )
        read_db.builds[build.generation] = build
        return build

    async def empty(self, build: Build, now: datetime) -> Build:
        self._require(build, BuildState.EMPTYING)
        emptied = replace(build, state=BuildState.BUILDING, updated_at=now)
        self._read_db.slots[build.slot] = SlotRows()
        self._read_db.builds[build.generation] = emptied
        return emptied

    async def load(self, build: Build, after: Build, row_keys: RowKeys, fold: Fold) -> None:
        self._require(build, BuildState.BUILDING)
        _apply(self._read_db, build, row_keys, fold)
        self._read_db.builds[build.generation] = after

    @asynccontextmanager
    async def swap(self, build: Build, *, keep_checkpoints: bool) -> AsyncIterator["MemorySwap"]:
        async with self._read_db.writing:
            self._require(build, BuildState.BUILDING)
            live = self._read_db.checkpoints[self._read_db.live.generation]
            yield MemorySwap(self._read_db, dict(live) if keep_checkpoints else {})

    async def cancel(self, build: Build, now: datetime) -> None:
        stored = self._read_db.builds.get(build.generation)
        if stored is not None and stored.state in UNFINISHED:
            self._read_db.builds[build.generation] = replace(stored, state=BuildState.CANCELLED, ended_at=now)

    async def record_failure(self, build: Build, error: str) -> None:
        stored = self._read_db.builds.get(build.generation)
        if stored is not None and stored.state in UNFINISHED:
            self._read_db.builds[build.generation] = replace(stored, error=error)

    def _require(self, build: Build, state: BuildState) -> None:
        stored = self._read_db.builds.get(build.generation)
        if stored is None or stored.state is not state or stored.position != build.position:
            raise BuildGone(f"Generation {build.generation} is not being built any more.")


class MemorySwap:
    def __init__(self, read_db: MemoryReadDb, checkpoints: Mapping[int, Checkpoint]) -> None:
        self._read_db = read_db
        self.checkpoints = checkpoints

    async def finish(self, build: Build, row_keys: RowKeys, fold: Fold) -> LiveGeneration:
        read_db, live, generation = self._read_db, self._read_db.live, build.generation
        _apply(read_db, build, row_keys, fold)
        read_db.checkpoints[generation] = {
            at.partition: at for at in build.checkpoints(live.partitions, self.checkpoints)
        }
        read_db.builds[generation] = replace(build, state=BuildState.LIVE)
        old = read_db.builds[live.generation]
        read_db.builds[live.generation] = replace(old, state=BuildState.RETIRED, ended_at=build.updated_at)
        read_db.live = replace(live, generation=generation, slot=build.slot, log_id=build.log_id, ready=True)
        return read_db.live


def _apply(read_db: MemoryReadDb, build: Build, row_keys: RowKeys, fold: Fold) -> None:
    rows, parked = read_db.slots[build.slot], read_db.parked[build.generation]
    write_changes(rows, parked, fold(read_rows(rows, parked, row_keys)))


logger = logging.getLogger(__name__)


class MemoryRebuildProcess:
    """Used by `async with`, whose end cancels all rebuilds. `rebuild` starts one."""

    def __init__(self, rebuild: Callable[[], AsyncGenerator[Build]]) -> None:
        self._rebuild = rebuild
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def start(self, adapter: str) -> int:  # noqa: ARG002 (there is only one)
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
