"""For how long a commit has been waiting to be projected, as far as one process can know.

A commit's own time is not enough: imported history was recorded years ago, and a writer's clock may be ahead. So the
log's end is sampled, and a commit's time is limited to the interval between the last sample without it and the first
sample with it. The age of commits that were there at the first sample counts from that sample.
"""

from bisect import bisect_left
from dataclasses import dataclass

_SAMPLES_KEPT = 1_000
"""Beyond this number, neighbouring samples are merged, which costs precision: half a percent of the time they span."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """The log ended before `tip` at time `after`, and at `tip` at time `by`."""

    tip: int
    after: float
    by: float


class LogGrowth:
    """Times are in seconds, by a monotonic clock."""

    def __init__(self) -> None:
        self._samples: list[_Sample] = []
        self._sampled_at: float | None = None

    def observe(self, tip: int, at: float) -> None:
        """The log ends at `tip` now. A lower tip than before means that the log was restored."""
        while self._samples and self._samples[-1].tip > tip:
            self._samples.pop()
        if not self._samples or self._samples[-1].tip < tip:
            self._samples.append(_Sample(tip, at if self._sampled_at is None else self._sampled_at, at))
        self._sampled_at = at
        if len(self._samples) > _SAMPLES_KEPT:
            self._samples = _thinned(self._samples)

    def age(self, position: int, recorded: float, at: float) -> float:
        """For how many seconds the commit at `position` could have been projected. Its own time is `recorded` seconds
        ago (negative: in the future).
        """
        sample = self._first_with(position) or _Sample(
            position, at if self._sampled_at is None else self._sampled_at, at
        )
        return at - min(max(at - recorded, sample.after), sample.by)

    def forget(self, position: int) -> None:
        """The rows have everything up to `position`."""
        del self._samples[: self._number_of_first_with(position)]

    def _first_with(self, position: int) -> _Sample | None:
        number = self._number_of_first_with(position)
        return self._samples[number] if number < len(self._samples) else None

    def _number_of_first_with(self, position: int) -> int:
        return bisect_left(self._samples, position, key=lambda sample: sample.tip)


def _thinned(samples: list[_Sample]) -> list[_Sample]:
    """At most half as many samples."""
    span = samples[-1].by - samples[0].after
    thinned = samples[:1]
    for sample in samples[1:]:
        last = thinned[-1]
        if sample.by - last.after <= 4 * span / _SAMPLES_KEPT:
            thinned[-1] = _Sample(sample.tip, last.after, sample.by)
        else:
            thinned.append(sample)
    return thinned
