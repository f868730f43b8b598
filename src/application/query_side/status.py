"""Queries for operators: the positions of the log, the bus and the read database, and how far each is behind.

`GetReadDbStatus` raises when a server is away. `GetPipelineStatus` never does: what can't be read is None, and the
other figures stay right.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from application.envelopes import Commit
from application.log_growth import LogGrowth
from application.mediator import Query, QueryDispatcher
from application.partitioning import partition_of
from application.ports.commit_log import CommitLog
from application.ports.generations import BuildState, Generations
from application.ports.post_views import PostViews
from application.ports.provisioning import ProbeResult
from application.ports.read_db import LiveGeneration, ProjectionStore
from application.ports.relay_state import RelayState
from application.ports.system import Clock
from domain.errors import PostlogError

T = TypeVar("T")

_COUNTED = 1_000
"""Commits that are read to count what the rows lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLag:
    partition: int
    position: int
    lag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDbStatus:
    """`lag` is how many commits of the log the rows are behind."""

    adapter: str
    generation: int
    ready: bool
    position: int
    lag: int
    parked: int
    partitions: Sequence[PartitionLag]


@dataclass(frozen=True, slots=True)
class GetReadDbStatus(Query[ReadDbStatus]):
    """The position of the read database, compared with the log. Raises `ReadDbUnavailable`, `StoreUnavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """`commits` and `events` of the log belong to this partition and are not in the rows, the oldest of them since
    `since`. Only a bounded part of the log is counted: with `at_least` there may be more."""

    partition: int
    position: int
    commits: int
    events: int
    since: datetime | None
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsStatus:
    """Of the read database that queries are answered from. `live_since` is when its generation replaced the one
    before; None when that is not recorded any more."""

    adapter: str
    generation: int
    live_since: datetime | None
    ready: bool
    position: int
    parked: int
    partitions: Sequence[PartitionStatus]

    @property
    def commits(self) -> int:
        return sum(partition.commits for partition in self.partitions)

    @property
    def events(self) -> int:
        return sum(partition.events for partition in self.partitions)

    @property
    def at_least(self) -> bool:
        return any(partition.at_least for partition in self.partitions)

    @property
    def since(self) -> datetime | None:
        return min((each.since for each in self.partitions if each.since is not None), default=None)

    def position_of(self, partition: int) -> int | None:
        return next((each.position for each in self.partitions if each.partition == partition), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProgress:
    """`owner` is the relay that holds the lease, None: none does. Every commit up to `position` is on the bus."""

    owner: str | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """At the time `at`, by this process's clock. A part that could not be read is None, and `problems` says why.
    `relay` is also None where there is no bus."""

    at: datetime
    tip: int | None
    rows: RowsStatus | None
    relay: RelayProgress | None
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class GetPipelineStatus(Query[PipelineStatus]):
    """Never raises for a server that is away: `problems` names it."""


class StatusQueries:
    """`adapter` is the read database's name; `relay_state` is None where there is no bus."""

    def __init__(
        self,
        *,
        adapter: str,
        views: PostViews,
        store: ProjectionStore,
        generations: Generations,
        log: CommitLog,
        relay_state: RelayState | None,
        clock: Clock,
    ) -> None:
        self._adapter = adapter
        self._views = views
        self._store = store
        self._generations = generations
        self._log = log
        self._relay_state = relay_state
        self._clock = clock
        self._growth = LogGrowth()

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(GetReadDbStatus, self.read_db)
        dispatcher.register(GetPipelineStatus, self.pipeline)

    async def read_db(self, _: GetReadDbStatus) -> ReadDbStatus:
        stamp, live = await self._views.stamp(), await self._store.live()
        while stamp.generation != live.generation:  # a swap in between: its rows are newer than that position
            stamp, live = await self._views.stamp(), await self._store.live()
        positions = await self._positions(live)
        tip = await self._log.tip()
        return ReadDbStatus(
            adapter=self._adapter,
            generation=live.generation,
            ready=live.ready,
            position=stamp.position,
            lag=max(0, tip - stamp.position),
            parked=stamp.parked,
            partitions=[
                PartitionLag(partition=partition, position=position, lag=max(0, tip - position))
                for partition, position in sorted(positions.items())
            ],
        )

    async def pipeline(self, _: GetPipelineStatus) -> PipelineStatus:
        problems: list[str] = []
        positions = await _tried(self._live_positions, problems)
        tip = await _tried(self._log.tip, problems)
        if tip is not None:
            self._growth.observe(tip, self._clock.monotonic())
            self._growth.forget(min(positions.values()) if positions else 0)
        return PipelineStatus(
            at=self._clock.now(),
            tip=tip,
            rows=None if positions is None else await self._rows(positions, tip, problems),
            relay=await _tried(self._relay, problems),
            problems=list(dict.fromkeys(problems)),
        )

    async def _live_positions(self) -> Mapping[int, int]:
        return await self._positions(await self._store.live())

    async def _positions(self, live: LiveGeneration) -> Mapping[int, int]:
        """By partition; one without a checkpoint is at 0."""
        checkpoints = await self._store.checkpoints(live.generation)
        positions = dict.fromkeys(range(live.partitions), 0)
        return positions | {partition: checkpoint.position for partition, checkpoint in checkpoints.items()}

    async def _rows(self, positions: Mapping[int, int], tip: int | None, problems: list[str]) -> RowsStatus | None:
        lacking = await _tried(lambda: self._lacking(positions), problems) if tip is not None else None
        stamp = await _tried(self._views.stamp, problems)
        if stamp is None:
            return None
        return RowsStatus(
            adapter=self._adapter,
            generation=stamp.generation,
            live_since=await _tried(lambda: self._live_since(stamp.generation), problems),
            ready=stamp.ready,
            position=stamp.position,
            parked=stamp.parked,
            partitions=_partitions(positions, lacking or [], tip or 0, self._since),
        )

    def _since(self, commit: Commit) -> datetime:
        """Since when the rows could have had it."""
        now = self._clock.now()
        recorded = (now - commit.recorded_at).total_seconds()
        return now - timedelta(seconds=self._growth.age(commit.position, recorded, self._clock.monotonic()))

    async def _lacking(self, positions: Mapping[int, int]) -> Sequence[Commit]:
        return await self._log.read(min(positions.values()), _COUNTED)

    async def _live_since(self, generation: int) -> datetime | None:
        """A build became live when it retired the one before; the first one was live from its start."""
        builds = await self._generations.builds()
        for build in builds:
            if build.state is BuildState.RETIRED:
                return build.ended_at
        return next((build.started_at for build in builds if build.generation == generation), None)

    async def _relay(self) -> RelayProgress | None:
        if self._relay_state is None:
            return None
        state = await self._relay_state.state()
        return RelayProgress(owner=state.owner if state else None, position=state.position if state else 0)


def _partitions(
    positions: Mapping[int, int], lacking: Sequence[Commit], tip: int, since: Callable[[Commit], datetime]
) -> list[PartitionStatus]:
    end = lacking[-1].position if lacking else tip
    partitions = []
    for partition, position in sorted(positions.items()):
        mine = [
            commit
            for commit in lacking
            if commit.position > position and partition_of(commit.stream_id, len(positions)) == partition
        ]
        partitions.append(
            PartitionStatus(
                partition=partition,
                position=position,
                commits=len(mine) if len(positions) > 1 else max(len(mine), tip - position),
                events=sum(len(commit.events) for commit in mine),
                since=since(mine[0]) if mine else None,
                at_least=tip > max(end, position),
            )
        )
    return partitions


async def _tried(read: Callable[[], Awaitable[T]], problems: list[str]) -> T | None:
    try:
        return await read()
    except PostlogError as error:
        problems.append(error.message)
        return None


class RowsReady:
    """Probe: can queries be answered? A read database may respond while it is filled for the first time."""

    name = "rows"

    def __init__(self, views: PostViews) -> None:
        self._views = views

    async def probe(self) -> ProbeResult:
        try:
            stamp = await self._views.stamp()
        except PostlogError as error:
            return ProbeResult(self.name, False, error.message)
        if not stamp.ready:
            return ProbeResult(
                self.name, False, f"The rows are being filled from the log; they are at position {stamp.position:,}."
            )
        return ProbeResult(self.name, True, f"The rows are at position {stamp.position:,}.")
