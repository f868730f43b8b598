"""Looks at how far everything is every few seconds, and keeps the last looks: for a plot that does not begin empty, for
rates, and for when this process first saw a position behind it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from application.mediator import QueryDispatcher
from application.query_side.status import GetPipelineStatus, PartitionStatus, PipelineStatus

_SECONDS = 1.0
_LOOKS_KEPT = 1_800
_RATE_SECONDS = 10
_STILL = timedelta(seconds=6)


class PartitionState(StrEnum):
    """STANDING_STILL: something is to be done, and for a while nothing was."""

    UP_TO_DATE = "up to date"
    CATCHING_UP = "catching up"
    STANDING_STILL = "standing still"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """`rate` is how many positions of the log it passes in a second. `seconds_left` is None unless it is catching up
    and comes nearer to the log's end."""

    state: PartitionState
    rate: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ObservedBetween:
    """This process saw it by then, and had not seen it yet `after`; None: it was so at the first look."""

    after: datetime | None
    by: datetime


Position = Callable[[PipelineStatus], int | None]


class PipelineSampler:
    def __init__(self, queries: QueryDispatcher) -> None:
        self._queries = queries
        self._samples: deque[PipelineStatus] = deque(maxlen=_LOOKS_KEPT)
        self._moved: dict[int, datetime] = {}

    async def run(self) -> None:
        """Until cancelled. A start does not wait for the first look."""
        while True:
            await asyncio.sleep(_SECONDS)
            await self.look()

    async def look(self) -> PipelineStatus:
        status = await self._queries.ask(GetPipelineStatus())
        if (
            self._samples and status.at < self._samples[-1].at
        ):  # the clock was set back: nothing can be compared with these
            self._samples.clear()
            self._moved.clear()
        self._note_moves(status)
        self._samples.append(status)
        return status

    @property
    def samples(self) -> Sequence[PipelineStatus]:
        """The oldest first."""
        return self._samples

    async def latest(self) -> PipelineStatus:
        return self._samples[-1] if self._samples else await self.look()

    def rate_of(self, position: Position) -> float:
        """Positions a second, over the last seconds."""
        now = self._samples[-1] if self._samples else None
        end = position(now) if now else None
        if now is None or end is None:
            return 0.0
        since = now.at - timedelta(seconds=_RATE_SECONDS)
        for look in self._samples:
            begin = position(look)
            if look.at >= since and begin is not None and look is not now:
                return max(0.0, (end - begin) / max((now.at - look.at).total_seconds(), 0.001))
        return 0.0

    def throughput_of(self, standing: PartitionStatus) -> Throughput:
        rate = self.rate_of(lambda look: _position_in(look, standing.partition))
        if not standing.commits:
            return Throughput(state=PartitionState.UP_TO_DATE, rate=rate, seconds_left=None)
        if self._stands_still(standing):
            return Throughput(state=PartitionState.STANDING_STILL, rate=rate, seconds_left=None)
        nearer = rate - self.rate_of(lambda look: look.tip)
        tip = self._samples[-1].tip if self._samples else None
        left = (tip - standing.position) / nearer if tip is not None and nearer > 0 else None
        return Throughput(state=PartitionState.CATCHING_UP, rate=rate, seconds_left=left)

    def seen(self, position: int, of: Position) -> ObservedBetween | None:
        """When what `of` tells was first seen at `position` or beyond. None: it was not, or longer ago than the looks
        go back."""
        before: datetime | None = None
        for look in self._samples:
            at = of(look)
            if at is not None and at >= position:
                return ObservedBetween(before, look.at) if before else None
            if at is not None:
                before = look.at
        return None

    def _note_moves(self, status: PipelineStatus) -> None:
        for standing in status.rows.partitions if status.rows else ():
            previous = _position_in(self._samples[-1], standing.partition) if self._samples else None
            if previous != standing.position or not standing.commits or standing.partition not in self._moved:
                self._moved[standing.partition] = status.at

    def _stands_still(self, standing: PartitionStatus) -> bool:
        moved = self._moved.get(standing.partition)
        return moved is not None and bool(self._samples) and self._samples[-1].at - moved >= _STILL


def _position_in(look: PipelineStatus, partition: int) -> int | None:
    if look.rows is None:
        return None
    return next((each.position for each in look.rows.partitions if each.partition == partition), None)
