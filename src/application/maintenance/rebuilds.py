"""Rebuilds as an operator sees them: begun, watched and cancelled from any process that can reach the read database.

What is known of them is what the read database holds: the row of the build, and the lock that its process holds. So
every process answers the same, and one that was killed is seen as what it is.
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
    """FAILED: an error, or the end of its process, stopped it before it was done. It can be gone on with."""

    RUNNING = "running"
    SWAPPED = "swapped"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildStatus:
    """`position` is up to where the log is in the new rows, `target` the log's tip that it runs for. The rate is an
    average; None before the first batch. `seconds_left` is None unless it is RUNNING, `error` unless it FAILED."""

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
        """Begin one, or go on with one that failed; None: of the live read database. Raises `RebuildRunning`, which
        names the one that runs, `RebuildNotPossible`, `RebuildNotBegun`, `Unavailable`, `SchemaOutdated`."""
        adapter = adapter or self._live
        if adapter not in self._adapters:
            can = " or ".join(sorted(self._adapters))
            raise RebuildNotPossible(
                f"A rebuild into {adapter} can't be begun from here, only into {can}: this service's settings give no "
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
        """Give it up, whether it runs or has failed; its process takes notice when it next writes. The live rows stay
        as they are. Raises as `status`, and `RebuildEnded` when its rows are live, or were."""
        _, generations = await self._database_of(rebuild_id)
        for build in await generations.builds(_KEPT):
            if rebuild_id.endswith(f"-{build.generation}"):
                await generations.cancel(build, self._clock.now())
        status = await self.status(rebuild_id)
        if status.state is RebuildState.SWAPPED:
            raise RebuildEnded(f"Rebuild {rebuild_id} is done: its rows have taken the old ones' place.")
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
    """The lock is looked at between two looks at the builds: one that ends gives it back after its last write."""
    builds = await generations.builds(limit)
    somebody_builds = True
    if any(build.state in UNFINISHED for build in builds) and not await generations.is_locked():
        somebody_builds = False
        builds = await generations.builds(limit)
    return [_status(adapter, build, somebody_builds) for build in builds if build.log_id is not None]


def _status(adapter: str, build: Build, somebody_builds: bool) -> RebuildStatus:
    state = _state(build, somebody_builds)
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


def _state(build: Build, somebody_builds: bool) -> RebuildState:
    match build.state:
        case BuildState.EMPTYING | BuildState.BUILDING:
            return RebuildState.RUNNING if somebody_builds else RebuildState.FAILED
        case BuildState.LIVE | BuildState.RETIRED:
            return RebuildState.SWAPPED
        case BuildState.CANCELLED:
            return RebuildState.CANCELLED


def _why(build: Build) -> str:
    reason = build.error or "Its process ended before it was done."
    return f"{reason} Begin a rebuild again to go on from position {build.position:,}, or cancel this one."


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
