"""Pauses between attempts on something that is away: growing, bounded, and small again once it has answered."""

_FIRST = 0.1
_LONGEST = 5.0


class Backoff:
    def __init__(self) -> None:
        self._pause = _FIRST

    def next(self) -> float:
        """Seconds to pause before the next attempt."""
        pause = self._pause
        self._pause = min(2 * pause, _LONGEST)
        return pause

    def reset(self) -> None:
        self._pause = _FIRST
