"""Since when the rows could have had a commit, as one process saw the log grow.

A commit's own time does not tell: imported history is recorded years ago, and a writer's clock may be ahead. So the
time that a commit says of itself is believed only as far as it lies between two looks at the log's end, of which the
earlier did not show the commit and the later did. What was there at the first look is counted from then on.
"""

from bisect import bisect_left
from dataclasses import dataclass

_LOOKS_KEPT = 1_000
"""With more than these, neighbours are made one: what is known becomes less exact, by half a per cent of the time that
they span, and is not lost."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The log's end was before `tip` at `after`, and at `tip` at `by`."""

    tip: int
    after: float
    by: float


class LogGrowth:
    """Times are in seconds, by a clock that never runs backwards."""

    def __init__(self) -> None:
        self._looks: list[_Look] = []
        self._looked_at: float | None = None

    def note(self, tip: int, at: float) -> None:
        """The log ends at `tip`. One that went back, because the log was restored, is followed."""
        while self._looks and self._looks[-1].tip > tip:
            self._looks.pop()
        if not self._looks or self._looks[-1].tip < tip:
            self._looks.append(_Look(tip, at if self._looked_at is None else self._looked_at, at))
        self._looked_at = at
        if len(self._looks) > _LOOKS_KEPT:
            self._looks = _thinned(self._looks)

    def age(self, position: int, recorded: float, at: float) -> float:
        """For how many seconds the rows could have had the commit at `position`, which says of itself that it was
        recorded so many seconds ago (negative: it will be)."""
        look = self._first_with(position) or _Look(position, at if self._looked_at is None else self._looked_at, at)
        return at - min(max(at - recorded, look.after), look.by)

    def forget(self, position: int) -> None:
        """The rows have everything up to there."""
        del self._looks[: self._number_of_first_with(position)]

    def _first_with(self, position: int) -> _Look | None:
        number = self._number_of_first_with(position)
        return self._looks[number] if number < len(self._looks) else None

    def _number_of_first_with(self, position: int) -> int:
        return bisect_left(self._looks, position, key=lambda look: look.tip)


def _thinned(looks: list[_Look]) -> list[_Look]:
    """At most half as many."""
    span = looks[-1].by - looks[0].after
    thinned = looks[:1]
    for look in looks[1:]:
        last = thinned[-1]
        if look.by - last.after <= 4 * span / _LOOKS_KEPT:
            thinned[-1] = _Look(look.tip, last.after, look.by)
        else:
            thinned.append(look)
    return thinned
