"""Builds of the read database: one is live in the slot that readers see, another may be built in the idle slot.

A build is one row in a table for its whole life, so that its progress and its end are visible to everyone. It belongs
to the one process that holds the lock.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from application.ports.read_db import Checkpoint, Fold, LiveGeneration, RowKeys, Slot


class BuildState(StrEnum):
    """EMPTYING and BUILDING also if the process was killed or failed: the build can be resumed. RETIRED: it was live
    and was replaced.
    """

    EMPTYING = "emptying"
    BUILDING = "building"
    LIVE = "live"
    RETIRED = "retired"
    CANCELLED = "cancelled"


UNFINISHED = (BuildState.EMPTYING, BuildState.BUILDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The slot's rows contain the log up to `position`; `commit_id` is the commit there ("" before the first). `target`
    is the log's tip to reach, `events` how many events were read. `log_id` is None only for the first generation, which
    no rebuild made. Interruptions move `started_at` forward, so that `updated_at - started_at` is the working time.
    `error` is a sentence if an error stopped the build and it was not resumed since.
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
        """The checkpoints of the build's rows, all at its position. Each keeps the topic and offset of the checkpoint
        `before`: events that the bus delivers again are skipped.
        """
        at = Checkpoint(partition=0, position=self.position, commit_position=self.position, commit_id=self.commit_id)
        live = {partition: before.get(partition) or at for partition in range(partitions)}
        return [
            replace(at, partition=partition, topic_id=old.topic_id, offset=old.offset)
            for partition, old in live.items()
        ]


class BuildGone(Exception):
    """The build is not unfinished any more, because it was cancelled. Nothing was written."""


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
        """Held by the one process that builds, and released when that process ends, however it ends. Raises
        `RebuildRunning` if another process holds it.
        """
        ...

    async def is_locked(self) -> bool:
        """Whether a process is building now. Raises `ReadDbUnavailable`."""
        ...

    async def builds(self, limit: int = 20) -> Sequence[Build]:
        """Newest first. Raises `ReadDbUnavailable`."""
        ...

    async def begin(self, log_id: str, target: int, now: datetime) -> Build:
        """A new generation, EMPTYING, for the idle slot. An unfinished one is CANCELLED. Raises `ReadDbUnavailable`."""
        ...

    async def empty(self, build: Build, now: datetime) -> Build:
        """Empty the build's slot, which no reader may still see, and make the build BUILDING. Raises `BuildGone`,
        `ReadDbUnavailable`.
        """
        ...

    async def load(self, build: Build, after: Build, row_keys: RowKeys, fold: Fold) -> None:
        """One transaction on the slot that is being built: read the rows of these keys, fold, write, and replace
        `build` by `after`. Raises `BuildGone` if the build is not BUILDING at `build.position` any more,
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
        """Record why the build stopped, if it is unfinished; it can be resumed. Raises `ReadDbUnavailable`."""
        ...


class RebuildProcess(Protocol):
    """Rebuilds in a process of their own."""

    async def start(self, adapter: str) -> int:
        """Begin or resume a rebuild into the read database `adapter`, in a child process that ends with this process at
        the latest. Returns the generation once the child holds the rebuild lock. Raises `RebuildRunning`,
        `RebuildNotBegun`, `Unavailable`, `SchemaOutdated`, `CannotOpen`.
        """
        ...
