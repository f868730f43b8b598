"""Builds of the read database: one lives in the slot that readers see, another may be built in the idle one.

A build is one row for its whole life, so anybody can see how far it is and how it ended. It belongs to the one process
that holds the lock.

Rebuilds that do not run where they are asked for.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from application.ports.read_db import Checkpoint, Fold, LiveGeneration, RowKeys, Slot


class BuildState(StrEnum):
    """EMPTYING and BUILDING also when its process was killed or failed: it can be gone on with. RETIRED: it was live,
    and another took its place."""

    EMPTYING = "emptying"
    BUILDING = "building"
    LIVE = "live"
    RETIRED = "retired"
    CANCELLED = "cancelled"


UNFINISHED = (BuildState.EMPTYING, BuildState.BUILDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """`position` is up to where the log is in the slot's rows, `commit_id` names the commit there ("" before the
    first), `target` the log's tip that it runs for, `events` how many it has read. `log_id` is None only for the
    first generation, which no rebuild made. `started_at` is moved on by the time in which nobody worked on it: up to
    `updated_at` is the time that it took. `error` is a sentence when one stopped it, and it was not gone on with since.
    """

    generation: int
    slot: Slot
    state: BuildState
    log_id: str | None
    position: int
    commit_id: str
    target: int
    events: int
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    error: str | None = None

    def checkpoints(self, partitions: int, before: Mapping[int, Checkpoint]) -> list[Checkpoint]:
        """Of its rows, which have the log up to its position whatever the partition. Where a partition goes on in the
        bus is kept from the checkpoint `before`: what comes there once more is skipped."""
        at = Checkpoint(partition=0, position=self.position, commit_position=self.position, commit_id=self.commit_id)
        live = {partition: before.get(partition) or at for partition in range(partitions)}
        return [
            replace(at, partition=partition, topic_id=stood.topic_id, offset=stood.offset)
            for partition, stood in live.items()
        ]


class BuildGone(Exception):
    """The build is not unfinished any more: somebody cancelled it. Nothing was written."""


class SwapInterrupted(Exception):
    """The database ended the transaction before it was committed: a deadlock, say, or this process had been stopped for
    too long. Nothing was written; the same swap may succeed when it is repeated."""


class Swap(Protocol):
    """One open transaction. While it is open, the live rows don't change."""

    @property
    def checkpoints(self) -> Mapping[int, Checkpoint]:
        """The live ones, by partition, locked. Empty without `keep_checkpoints`."""
        ...

    async def finish(self, build: Build, row_keys: RowKeys, fold: Fold) -> LiveGeneration:
        """Apply what the build lacked, give it its checkpoints, make it the live generation, and commit. `build` is the
        build with that applied. Raises `SwapInterrupted`, `ReadDbUnavailable`."""
        ...


class Generations(Protocol):
    def lock(self) -> AbstractAsyncContextManager[None]:
        """Held by the one process that builds; it dies with its process, however that dies. Raises `RebuildRunning`
        when another process holds it.
        """
        ...

    async def is_locked(self) -> bool:
        """Whether some process builds right now. Raises `ReadDbUnavailable`."""
        ...

    async def builds(self, limit: int = 20) -> Sequence[Build]:
        """The newest first. Raises `ReadDbUnavailable`."""
        ...

    async def begin(self, log_id: str, target: int, now: datetime) -> Build:
        """A new generation, EMPTYING, for the idle slot. An unfinished one is CANCELLED. Raises `ReadDbUnavailable`."""
        ...

    async def empty(self, build: Build, now: datetime) -> Build:
        """Empty the build's slot, which no reader may still be able to see, and make it BUILDING. Raises `BuildGone`,
        `ReadDbUnavailable`."""
        ...

    async def load(self, build: Build, after: Build, row_keys: RowKeys, fold: Fold) -> None:
        """One transaction on the slot that is being built: read what is touched, fold, write, and make `after` of
        `build`. Raises `BuildGone` when the build is not BUILDING at `build.position` any more,
        `ReadDbUnavailable`.
        """
        ...

    def swap(self, build: Build, *, keep_checkpoints: bool) -> AbstractAsyncContextManager[Swap]:
        """One transaction, begun by entering: it locks the live checkpoints, and `Swap.finish` makes the build the live
        generation, ready, of the build's log; the old one is RETIRED. The new checkpoints are at the build's position,
        one for each partition, with topic and offset of the live ones; without `keep_checkpoints` they have none.
        Leaving without `finish` rolls back. Readers see the old rows or the new rows. Raises `BuildGone`,
        `ReadDbUnavailable`.
        """
        ...

    async def cancel(self, build: Build, now: datetime) -> None:
        """Make it CANCELLED, if it is unfinished. The live generation is not touched. Raises `ReadDbUnavailable`."""
        ...

    async def record_failure(self, build: Build, error: str) -> None:
        """Note the sentence that says why it goes no further, if it is unfinished; it can be gone on with. Raises
        `ReadDbUnavailable`."""
        ...


class RebuildProcess(Protocol):
    async def start(self, adapter: str) -> int:
        """Begin a rebuild into the read database `adapter`, or go on with an unfinished one, beside this process's own
        work; it ends with this process at the latest. Answers the generation once that has the database to itself.
        Raises `RebuildRunning`, `RebuildNotBegun`, `Unavailable`, `SchemaOutdated`, `CannotOpen`.
        """
        ...
