"""Time, as a port, so that tests say what time it is."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC, cut to whole milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds, never running backwards, for durations and deadlines."""
        ...
