"""The mathematics of the table: rates, and ratios of two sides that were taken in turn."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured for one line of the table, round by round, both sides in the same `unit`.

    `less_is_better`: the figures are durations or sizes, not rates. `note` says what a reader must know to judge it.
    """

    line: str
    ours: Sequence[float]
    theirs: Sequence[float]
    unit: str
    less_is_better: bool = False
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours by theirs, of the same round each. `ValueError` when a side lacks a round."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def worst(self) -> float:
        """The lowest ratio, or the highest where less is better."""
        return max(self.ratios) if self.less_is_better else min(self.ratios)

    def reaches(self, bound: float) -> bool:
        """Whether the median is at least `bound`, or at most where less is better."""
        return self.median <= bound if self.less_is_better else self.median >= bound


def rate(count: int, seconds: float) -> float:
    """Per second."""
    if seconds <= 0:
        raise ValueError(f"{count} in {seconds} s is no rate")
    return count / seconds


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank: the smallest value that at least `percent` of all do not exceed."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
