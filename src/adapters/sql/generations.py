"""Builds in the idle slot: emptied, filled batch by batch, and swapped with the live one in one transaction."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from adapters.sql.database import Database, SqlPort, in_thread
from adapters.sql.projection_store import LOCK_CHECKPOINTS, LOCK_LIVE, SELECT_LIVE
from adapters.sql.rows import AffectedRows, from_checkpoint, to_checkpoint, to_live
from adapters.sql.tables import SLOTS, checkpoints, generations, parked_streams, read_db
from application.errors import ReadDbUnavailable, RebuildRunning
from application.ports.generations import UNFINISHED, Build, BuildGone, BuildState, SwapInterrupted
from application.ports.read_db import Checkpoint, Fold, LiveGeneration, RowKeys, Slot

_BY_GENERATION = generations.c.generation == bindparam("of")
_LOCK_BUILD = select(generations).where(_BY_GENERATION).with_for_update()
_UPDATE_BUILD = update(generations).where(_BY_GENERATION)
_IS_UNFINISHED = generations.c.state.in_([state.value for state in UNFINISHED])
_UPDATE_UNFINISHED = _UPDATE_BUILD.where(_IS_UNFINISHED)
_NEWEST = select(generations).order_by(generations.c.generation.desc())
_HIGHEST = select(func.max(generations.c.generation))
_POLL_SECONDS = 0.05


class SqlGenerations(SqlPort):
    def __init__(self, database: Database, *, lock_seconds: float = 1.0) -> None:
        super().__init__(database)
        self._lock_seconds = lock_seconds
        self._rows = AffectedRows(database.backend)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        release = await self._lock_within(self._lock_seconds)
        if release is None:
            place = self._database.address.place
            raise RebuildRunning(f"Another rebuild of the read database {place} is running.")
        try:
            yield
        finally:
            await asyncio.to_thread(release)

    async def _lock_within(self, seconds: float) -> Callable[[], None] | None:
        """A process that asks whether it is locked holds it for a moment, too; and a cancelled rebuild is about to
        release it."""
        deadline = time.monotonic() + seconds
        while True:
            release = await self._try_lock()
            if release is not None or time.monotonic() >= deadline:
                return release
            await asyncio.sleep(_POLL_SECONDS)

    async def is_locked(self) -> bool:
        release = await self._try_lock()
        if release is not None:
            await asyncio.to_thread(release)
        return release is None

    @in_thread
    def _try_lock(self) -> Callable[[], None] | None:
        return self._backend.try_lock()

    @in_thread
    def builds(self, limit: int = 20) -> Sequence[Build]:
        with self._backend.engine.connect() as connection:
            return [_to_build(row) for row in connection.execute(_NEWEST.limit(limit))]

    @in_thread
    def begin(self, log_id: str, target: int, now: datetime) -> Build:
        with self._backend.writing() as connection:
            for row in connection.execute(_NEWEST.where(_IS_UNFINISHED)).all():
                _cancel(connection, row.generation, now)
            live = to_live(connection.execute(SELECT_LIVE).one())
            highest = connection.execute(_HIGHEST).scalar_one() or 0
            slot: Slot = "b" if live.slot == "a" else "a"
            build = Build(
                generation=max(highest, live.generation) + 1,
                slot=slot,
                state=BuildState.EMPTYING,
                log_id=log_id,
                position=0,
                commit_id="",
                target=target,
                events=0,
                started_at=now,
                updated_at=now,
            )
            connection.execute(insert(generations), _from_build(build))
        return build

    @in_thread
    def empty(self, build: Build, now: datetime) -> Build:
        """A build that is BUILDING has an emptied slot. Readers send one statement at a time, and each names the live
        slot: no reader can still use this one, except by a statement that began before the last swap, and that
        statement sees the rows until its end."""
        emptied = replace(build, state=BuildState.BUILDING, updated_at=now)
        for table in (SLOTS[build.slot].comments, SLOTS[build.slot].posts):
            self._backend.empty(table)
        with self._backend.writing() as connection:
            _require(connection, build, BuildState.EMPTYING)
            live = to_live(connection.execute(SELECT_LIVE).one())
            connection.execute(delete(parked_streams).where(parked_streams.c.generation != live.generation))
            connection.execute(delete(checkpoints).where(checkpoints.c.generation != live.generation))
            _save(connection, emptied)
        return emptied

    @in_thread
    def load(self, build: Build, after: Build, row_keys: RowKeys, fold: Fold) -> None:
        with self._backend.writing() as connection:
            _require(connection, build, BuildState.BUILDING)
            _apply(connection, self._rows, build, row_keys, fold)
            _save(connection, after)

    @asynccontextmanager
    async def swap(self, build: Build, *, keep_checkpoints: bool) -> AsyncIterator["SqlSwap"]:
        async with self._database.own_thread() as database:
            swap = SqlSwap(database, self._rows, build, keep_checkpoints=keep_checkpoints)
            try:
                await swap.begin()
                yield swap
            finally:  # also when the beginning was cancelled: the thread finishes that first
                with suppress(ReadDbUnavailable):  # a lost connection has lost its transaction, too
                    await asyncio.shield(swap.roll_back())

    @in_thread
    def cancel(self, build: Build, now: datetime) -> None:
        with self._backend.writing() as connection:
            _cancel(connection, build.generation, now)

    @in_thread
    def record_failure(self, build: Build, error: str) -> None:
        with self._backend.writing() as connection:
            connection.execute(_UPDATE_UNFINISHED, {"of": build.generation, "error": error})


class SqlSwap(SqlPort):
    """One transaction on one connection, open from one call to the next."""

    def __init__(self, database: Database, rows: AffectedRows, build: Build, *, keep_checkpoints: bool) -> None:
        super().__init__(database)
        self._rows = rows
        self._build = build
        self._keep_checkpoints = keep_checkpoints
        self._transaction = ExitStack()
        self._is_open = False
        self.checkpoints: Mapping[int, Checkpoint] = {}

    @in_thread
    def begin(self) -> None:
        """The live row is locked before the checkpoints: until then a partition might begin, whose checkpoint would be
        neither locked nor kept. May be repeated when it fails."""
        with ExitStack() as stack:
            self._connection = connection = stack.enter_context(self._backend.writing())
            self._live = to_live(connection.execute(LOCK_LIVE).one())
            stored = connection.execute(LOCK_CHECKPOINTS, {"of": self._live.generation}).all()
            _require(connection, self._build, BuildState.BUILDING)
            if self._keep_checkpoints:
                self.checkpoints = {row.partition: to_checkpoint(row) for row in stored}
            self._transaction, self._is_open = stack.pop_all(), True

    @in_thread
    def finish(self, build: Build, row_keys: RowKeys, fold: Fold) -> LiveGeneration:
        """The transaction is over even if this fails: repeating it raises `SwapInterrupted`."""
        if not self._is_open:
            raise SwapInterrupted
        self._is_open = False
        with self._transaction:
            connection, live = self._connection, self._live
            _apply(connection, self._rows, build, row_keys, fold)
            _save(connection, replace(build, state=BuildState.LIVE))
            retired = {"of": live.generation, "state": BuildState.RETIRED.value, "ended_at": build.updated_at}
            connection.execute(_UPDATE_BUILD, retired)
            for checkpoint in build.checkpoints(live.partitions, self.checkpoints):
                connection.execute(insert(checkpoints), from_checkpoint(build.generation, checkpoint))
            connection.execute(
                update(read_db).values(generation=build.generation, slot=build.slot, log_id=build.log_id, ready=True)
            )
            return to_live(connection.execute(SELECT_LIVE).one())

    @in_thread
    def roll_back(self) -> None:
        """Does nothing after `finish`."""
        if self._is_open:
            self._is_open = False
            with suppress(_RolledBack), self._transaction:
                raise _RolledBack


class _RolledBack(Exception):
    """Ends a transaction without a commit."""


def _apply(connection: Connection, affected: AffectedRows, build: Build, row_keys: RowKeys, fold: Fold) -> None:
    rows = affected.read(connection, build.slot, build.generation, row_keys)
    affected.load(connection, build.slot, build.generation, rows, fold(rows))


def _require(connection: Connection, build: Build, state: BuildState) -> None:
    row = connection.execute(_LOCK_BUILD, {"of": build.generation}).one_or_none()
    if row is None or row.state != state.value or row.position != build.position:
        raise BuildGone(f"Generation {build.generation} is not being built any more.")


def _save(connection: Connection, build: Build) -> None:
    connection.execute(_UPDATE_BUILD, {"of": build.generation, **_from_build(build)})


def _cancel(connection: Connection, generation: int, now: datetime) -> None:
    cancelled = {"of": generation, "state": BuildState.CANCELLED.value, "ended_at": now}
    connection.execute(_UPDATE_UNFINISHED, cancelled)


def _from_build(build: Build) -> dict[str, Any]:
    return {**asdict(build), "state": build.state.value}


def _to_build(row: Any) -> Build:
    return Build(**{**row._mapping, "state": BuildState(row.state)})  # noqa: SLF001 (SQLAlchemy's public name for it)
