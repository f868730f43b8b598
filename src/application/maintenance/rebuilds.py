"""Rebuilds as an operator sees them: started, watched and cancelled from any process that can reach the read database.

Their state is only in the read database: the row of the build, and the lock that its process holds. So every process
gives the same answer, and a rebuild that was killed is reported as failed.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from application.errors import RebuildEnded, RebuildNotFound, RebuildNotPossible, RebuildRunning
from application.maintenance.progress import events_per_second, seconds_left
from application.ports.generations import UNFINISHED, Build, BuildState, Generations, RebuildProcess
from application.ports.system import Clock

_ID = re.compile(r"(?P<adapter>[a-z]{1,20})-(?P<generation>[1-9][0-9]{0,8})")
_KEPT = 1_000

GenerationsOf = Callable[[str], Awaitable[Generations | None]]
"""The builds of the read database with this adapter; None where there is no such database yet."""


class RebuildState(StrEnum):
    """FAILED: an error, or the end of its process, stopped it before it was done. It can be resumed."""

    RUNNING = "running"
    SWAPPED = "swapped"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildStatus:
    """`position` is how far the new rows have the log, `target` the tip that it started for. The rate is an average;
    None before the first batch. `seconds_left` is None unless it is RUNNING, `error` unless it FAILED."""

    id: str
    adapter: str
    generation: int
    state: RebuildState
    position: int
    target: int
    events_per_second: float | None
    seconds_left: float | None
    started_at: datetime
    error: str | None


class Rebuilds:
    """`live` is the adapter that queries are answered from, `adapters` those that can be rebuilt from here."""

    def __init__(
        self,
        *,
        live: str,
        adapters: Collection[str],
        generations_of: GenerationsOf,
        process: RebuildProcess,
        clock: Clock,
    ) -> None:
        self._live = live
        self._adapters = frozenset(adapters)
        self._generations_of = generations_of
        self._process = process
        self._clock = clock

    async def begin(self, adapter: str | None = None) -> RebuildStatus:
        """Start one, or resume one that failed; None: of the live read database. Raises `RebuildRunning`, which names
        the one that runs, `RebuildNotPossible`, `RebuildNotBegun`, `Unavailable`, `SchemaOutdated`."""
        adapter = adapter or self._live
        if adapter not in self._adapters:
            can = " or ".join(sorted(self._adapters))
            raise RebuildNotPossible(
                f"A rebuild into {adapter} can't be started here, only into {can}: this service's settings give no "
                f"address of another read database (read_db.{adapter})."
            )
        for status in await self.recent(adapter):
            if status.state is RebuildState.RUNNING:
                raise _running(status)
        try:
            generation = await self._process.start(adapter)
        except RebuildRunning as error:
            if error.generation is None:
                raise
            rebuild_id = _id_of(adapter, error.generation)
            raise RebuildRunning(error.message, generation=error.generation, rebuild_id=rebuild_id) from None
        return await self.status(_id_of(adapter, generation))

    async def recent(self, adapter: str | None = None, limit: int = 20) -> Sequence[RebuildStatus]:
        """The newest first; None: of the live read database. Raises `Unavailable`, `SchemaOutdated`."""
        adapter = adapter or self._live
        generations = await self._generations_of(adapter) if adapter in self._adapters else None
        return [] if generations is None else await _statuses(adapter, generations, limit)

    async def status(self, rebuild_id: str) -> RebuildStatus:
        """Raises `RebuildNotFound`, `Unavailable`, `SchemaOutdated`."""
        adapter, generations = await self._database_of(rebuild_id)
        for status in await _statuses(adapter, generations, _KEPT):
            if status.id == rebuild_id:
                return status
        raise _not_found(rebuild_id)

    async def cancel(self, rebuild_id: str) -> RebuildStatus:
        """Cancel it, whether it runs or has failed; its process stops when it next writes. The live rows are not
        changed. Raises as `status`, and `RebuildEnded` when its rows are live, or were."""
        _, generations = await self._database_of(rebuild_id)
        for build in await generations.builds(_KEPT):
            if rebuild_id.endswith(f"-{build.generation}"):
                await generations.cancel(build, self._clock.now())
        status = await self.status(rebuild_id)
        if status.state is RebuildState.SWAPPED:
            raise RebuildEnded(f"Rebuild {rebuild_id} is done: its rows have replaced the old ones.")
        return status

    async def _database_of(self, rebuild_id: str) -> tuple[str, Generations]:
        parts = _ID.fullmatch(rebuild_id)
        if parts is None or parts["adapter"] not in self._adapters:
            raise _not_found(rebuild_id)
        generations = await self._generations_of(parts["adapter"])
        if generations is None:
            raise _not_found(rebuild_id)
        return parts["adapter"], generations


async def _statuses(adapter: str, generations: Generations, limit: int) -> list[RebuildStatus]:
    """The lock is tried between two reads of the builds: a build that ends releases it after its last write."""
    builds = await generations.builds(limit)
    is_locked = True
    if any(build.state in UNFINISHED for build in builds) and not await generations.is_locked():
        is_locked = False
        builds = await generations.builds(limit)
    return [_status(adapter, build, is_locked) for build in builds if build.log_id is not None]


def _status(adapter: str, build: Build, is_locked: bool) -> RebuildStatus:
    state = _state(build, is_locked)
    return RebuildStatus(
        id=_id_of(adapter, build.generation),
        adapter=adapter,
        generation=build.generation,
        state=state,
        position=build.position,
        target=build.target,
        events_per_second=events_per_second(build),
        seconds_left=seconds_left(build) if state is RebuildState.RUNNING else None,
        started_at=build.started_at,
        error=_why(build) if state is RebuildState.FAILED else None,
    )


def _state(build: Build, is_locked: bool) -> RebuildState:
    match build.state:
        case BuildState.EMPTYING | BuildState.BUILDING:
            return RebuildState.RUNNING if is_locked else RebuildState.FAILED
        case BuildState.LIVE | BuildState.RETIRED:
            return RebuildState.SWAPPED
        case BuildState.CANCELLED:
            return RebuildState.CANCELLED


def _why(build: Build) -> str:
    reason = build.error or "Its process ended before it was done."
    return f"{reason} Start a rebuild again to resume from position {build.position:,}, or cancel this one."


def _running(status: RebuildStatus) -> RebuildRunning:
    return RebuildRunning(
        f"Rebuild {status.id} is running, at position {status.position:,} of {status.target:,}. "
        "Wait for it, or cancel it.",
        generation=status.generation,
        rebuild_id=status.id,
    )


def _id_of(adapter: str, generation: int) -> str:
    return f"{adapter}-{generation}"


def _not_found(rebuild_id: str) -> RebuildNotFound:
    return RebuildNotFound(f"There is no rebuild {rebuild_id}.", path="rebuildId")
