"""Samples the pipeline's status every second and keeps the last samples: for a plot that does not begin empty, for
rates, and for when this process first saw a position reached.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from application.query_side.status import GetPipelineStatus, PartitionStatus, PipelineStatus

_SECONDS = 1.0
_RATE_SECONDS = 10
_STALLED_AFTER = timedelta(seconds=6)


class PartitionState(StrEnum):
    """STALLED: there is something to do, and for a while nothing was done."""

    UP_TO_DATE = "up to date"
    CATCHING_UP = "catching up"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """`rate` is how many positions of the log a partition passes in a second. `seconds_left` is None unless it is
    catching up and the gap to the log's end shrinks."""

    state: PartitionState
    rate: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ObservedBetween:
    """The position was reached in the sample at `by`, and not yet in the one at `after`."""

    after: datetime
    by: datetime


Position = Callable[[PipelineStatus], int | None]


class PipelineSampler:
    """`ask` answers the query for the pipeline's status."""

    def __init__(
        self, ask: Callable[[GetPipelineStatus], Awaitable[PipelineStatus]], samples_kept: int = 1_800
    ) -> None:
        self._ask = ask
        self._samples: deque[PipelineStatus] = deque(maxlen=samples_kept)
        self._moved: dict[int, datetime] = {}

    async def run(self) -> None:
        """Until cancelled. A start does not wait for the first sample."""
        while True:
            await asyncio.sleep(_SECONDS)
            await self.sample()

    async def sample(self) -> PipelineStatus:
        status = await self._ask(GetPipelineStatus())
        if self._samples and status.at < self._samples[-1].at:  # the clock was set back: older samples mislead
            self._samples.clear()
            self._moved.clear()
        self._record_moves(status)
        self._samples.append(status)
        return status

    @property
    def samples(self) -> Sequence[PipelineStatus]:
        """The oldest first."""
        return self._samples

    async def latest(self) -> PipelineStatus:
        return self._samples[-1] if self._samples else await self.sample()

    def rate_of(self, position: Position) -> float:
        """Positions per second, over the last seconds."""
        now = self._samples[-1] if self._samples else None
        end = position(now) if now else None
        if now is None or end is None:
            return 0.0
        since = now.at - timedelta(seconds=_RATE_SECONDS)
        for sample in self._samples:
            begin = position(sample)
            if sample.at >= since and begin is not None and sample is not now:
                return max(0.0, (end - begin) / max((now.at - sample.at).total_seconds(), 0.001))
        return 0.0

    def throughput_of(self, partition: PartitionStatus) -> Throughput:
        rate = self.rate_of(lambda sample: _position_in(sample, partition.partition))
        if not partition.commits:
            return Throughput(state=PartitionState.UP_TO_DATE, rate=rate, seconds_left=None)
        if self._is_stalled(partition):
            return Throughput(state=PartitionState.STALLED, rate=rate, seconds_left=None)
        gain = rate - self.rate_of(lambda sample: sample.tip)
        tip = self._samples[-1].tip if self._samples else None
        left = (tip - partition.position) / gain if tip is not None and gain > 0 else None
        return Throughput(state=PartitionState.CATCHING_UP, rate=rate, seconds_left=left)

    def observed(self, position: int, of: Position) -> ObservedBetween | None:
        """When `of` first gave `position` or more. None: it did not yet, or did before the first sample kept."""
        before: datetime | None = None
        for sample in self._samples:
            at = of(sample)
            if at is not None and at >= position:
                return ObservedBetween(before, sample.at) if before else None
            if at is not None:
                before = sample.at
        return None

    def _record_moves(self, status: PipelineStatus) -> None:
        for partition in status.rows.partitions if status.rows else ():
            previous = _position_in(self._samples[-1], partition.partition) if self._samples else None
            if previous != partition.position or not partition.commits or partition.partition not in self._moved:
                self._moved[partition.partition] = status.at

    def _is_stalled(self, partition: PartitionStatus) -> bool:
        moved = self._moved.get(partition.partition)
        return moved is not None and bool(self._samples) and self._samples[-1].at - moved >= _STALLED_AFTER


def _position_in(sample: PipelineStatus, partition: int) -> int | None:
    return sample.rows.position_of(partition) if sample.rows else None
