"""Since when the rows could have had a commit, as one process saw the log grow.

A commit's own time does not tell: imported history is recorded years ago, and a writer's clock may be ahead. So the
time that a commit says of itself is believed only as far as it lies between two looks at the log's end, of which the
earlier did not show the commit and the later did. What was there at the first look is counted from then on.
"""

from bisect import bisect_left
from dataclasses import dataclass

_SAMPLES_KEPT = 1_000
"""With more than these, neighbours are made one: what is known becomes less exact, by half a per cent of the time that
they span, and is not lost."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """The log's end was before `tip` at `after`, and at `tip` at `by`."""

    tip: int
    after: float
    by: float


class LogGrowth:
    """Times are in seconds, by a clock that never runs backwards."""

    def __init__(self) -> None:
        self._samples: list[_Sample] = []
        self._sampled_at: float | None = None

    def observe(self, tip: int, at: float) -> None:
        """The log ends at `tip`. One that went back, because the log was restored, is followed."""
        while self._samples and self._samples[-1].tip > tip:
            self._samples.pop()
        if not self._samples or self._samples[-1].tip < tip:
            self._samples.append(_Sample(tip, at if self._sampled_at is None else self._sampled_at, at))
        self._sampled_at = at
        if len(self._samples) > _SAMPLES_KEPT:
            self._samples = _thinned(self._samples)

    def age(self, position: int, recorded: float, at: float) -> float:
        """For how many seconds the rows could have had the commit at `position`, which says of itself that it was
        recorded so many seconds ago (negative: it will be)."""
        sample = self._first_with(position) or _Sample(
            position, at if self._sampled_at is None else self._sampled_at, at
        )
        return at - min(max(at - recorded, sample.after), sample.by)

    def forget(self, position: int) -> None:
        """The rows have everything up to there."""
        del self._samples[: self._number_of_first_with(position)]

    def _first_with(self, position: int) -> _Sample | None:
        number = self._number_of_first_with(position)
        return self._samples[number] if number < len(self._samples) else None

    def _number_of_first_with(self, position: int) -> int:
        return bisect_left(self._samples, position, key=lambda sample: sample.tip)


def _thinned(samples: list[_Sample]) -> list[_Sample]:
    """At most half as many."""
    span = samples[-1].by - samples[0].after
    thinned = samples[:1]
    for sample in samples[1:]:
        last = thinned[-1]
        if sample.by - last.after <= 4 * span / _SAMPLES_KEPT:
            thinned[-1] = _Sample(sample.tip, last.after, sample.by)
        else:
            thinned.append(sample)
    return thinned
