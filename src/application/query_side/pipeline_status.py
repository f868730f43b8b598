"""Handler of the query for how far everything is. What does not answer leaves the other figures right."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from application.envelopes import Commit
from application.log_growth import LogGrowth
from application.mediator import QueryDispatcher
from application.partitioning import partition_of
from application.ports.commit_log import CommitLog
from application.ports.generations import BuildState, Generations
from application.ports.post_views import PostViews
from application.ports.read_db import ProjectionStore
from application.ports.relay_state import RelayState
from application.ports.system import Clock
from application.query_side.pipeline_queries import (
    GetPipelineStatus,
    PartitionStanding,
    PipelineStatus,
    RelayStanding,
    RowsStanding,
)
from domain.errors import PostlogError

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

    async def _rows(self, positions: Mapping[int, int], tip: int | None, problems: list[str]) -> RowsStanding | None:
        lacking = await _tried(lambda: self._lacking(positions), problems) if tip is not None else None
        stamp = await _tried(self._views.stamp, problems)
        if stamp is None:
            return None
        return RowsStanding(
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

    async def _relay(self) -> RelayStanding | None:
        if self._relay_state is None:
            return None
        state = await self._relay_state.state()
        return RelayStanding(owner=state.owner if state else None, position=state.position if state else 0)


def _partitions(
    positions: Mapping[int, int], lacking: Sequence[Commit], tip: int, since: Callable[[Commit], datetime]
) -> list[PartitionStanding]:
    end = lacking[-1].position if lacking else tip
    standings = []
    for partition, position in sorted(positions.items()):
        mine = [
            commit
            for commit in lacking
            if commit.position > position and partition_of(commit.stream_id, len(positions)) == partition
        ]
        standings.append(
            PartitionStanding(
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
