"""How far everything is, for operators: the log, the bus, the rows by partition.

Handler of the query for how far everything is. What does not answer leaves the other figures right.

Handler of the query for where the read database stands against the log.

Whether queries can be answered: a read database may answer while it is being filled for the first time.
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
from application.ports.read_db import ProjectionStore
from application.ports.relay_state import RelayState
from application.ports.system import Clock
from application.query_side.queries import GetReadDbStatus, PartitionLag, ReadDbStatus
from domain.errors import PostlogError


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """`commits` and `events` of the log belong to this partition and are not in the rows, the oldest of them since
    `since`. They are counted in a bounded part of the log: where that ended early, `at_least` so many."""

    partition: int
    position: int
    commits: int
    events: int
    since: datetime | None
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsStatus:
    """Of the read database that queries are answered from. `live_since` is when its generation took the place of
    another; None when that is not known any more."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProgress:
    """`owner` is the relay that publishes now; None: none does. Everything up to `position` is on the bus."""

    owner: str | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """At the time `at`, by this process's clock. What does not answer is None, and `problems` says why. `relay` is None
    too where there is no bus."""

    at: datetime
    tip: int | None
    rows: RowsStatus | None
    relay: RelayProgress | None
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class GetPipelineStatus(Query[PipelineStatus]):
    """Never raises for a server that is away: the answer says so."""


T = TypeVar("T")

_COUNTED = 1_000
"""Commits that are read to count what the rows lack."""


class PipelineStatusQuery:
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
        dispatcher.register(GetPipelineStatus, self.get)

    async def get(self, _: GetPipelineStatus) -> PipelineStatus:
        problems: list[str] = []
        positions = await _tried(self._positions, problems)
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

    async def _positions(self) -> Mapping[int, int]:
        live = await self._store.live()
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
        """A build took its place when it ended the one before; the first one was there from the beginning."""
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
    standings = []
    for partition, position in sorted(positions.items()):
        mine = [
            commit
            for commit in lacking
            if commit.position > position and partition_of(commit.stream_id, len(positions)) == partition
        ]
        standings.append(
            PartitionStatus(
                partition=partition,
                position=position,
                commits=len(mine) if len(positions) > 1 else max(len(mine), tip - position),
                events=sum(len(commit.events) for commit in mine),
                since=since(mine[0]) if mine else None,
                at_least=tip > max(end, position),
            )
        )
    return standings


async def _tried(ask: Callable[[], Awaitable[T]], problems: list[str]) -> T | None:
    try:
        return await ask()
    except PostlogError as error:
        problems.append(error.message)
        return None


class ReadDbStatusQuery:
    """`adapter` is the configured one's name."""

    def __init__(self, adapter: str, views: PostViews, store: ProjectionStore, log: CommitLog) -> None:
        self._adapter = adapter
        self._views = views
        self._store = store
        self._log = log

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(GetReadDbStatus, self.get)

    async def get(self, _: GetReadDbStatus) -> ReadDbStatus:
        stamp, live = await self._views.stamp(), await self._store.live()
        while stamp.generation != live.generation:  # a swap in between: its rows are newer than that position
            stamp, live = await self._views.stamp(), await self._store.live()
        checkpoints = await self._store.checkpoints(live.generation)
        tip = await self._log.tip()
        positions = dict.fromkeys(range(live.partitions), 0)
        positions |= {partition: checkpoint.position for partition, checkpoint in checkpoints.items()}
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


class RowsReady:
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
                self.name, False, f"They are being filled from the log, up to position {stamp.position:,}."
            )
        return ProbeResult(self.name, True, f"They stand at position {stamp.position:,}.")
