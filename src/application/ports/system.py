"""Time, as a port, so that tests say what time it is.

New ids, as a port.

Counting and measuring. Names are snake_case without prefix or unit suffix rules; the adapter adds `postlog_`.

When the steps of a command's way were taken in this process: noted where each is taken, for people who ask what
happened. The log and the rows know nothing of it; other processes note their own.

A projector in this process tells queries that wait for a position that the rows have moved on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC, cut to whole milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds, never running backwards, for durations and deadlines."""
        ...


class Ids(Protocol):
    def new(self) -> str:
        """A UUIDv7 as lower-case text: ids made later sort later."""
        ...


class Metrics(Protocol):
    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        """Set a value that goes up and down. After `good_for` seconds it is shown no more, unless it was set again."""
        ...

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Note a duration in seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """None: not taken in this process, or longer ago than it keeps."""

    received: datetime | None
    durable: datetime | None
    published: datetime | None
    projected: datetime | None


class Journal(Protocol):
    """Notes cost next to nothing, and only the last ones are kept."""

    def record_received(self, commit_id: str) -> None:
        """A command came that leads to this commit, if to any. A repeated one is the same commit's."""
        ...

    def record_durable(self, first: int, last: int) -> None:
        """The store has acknowledged a write of this process whose commits lie between these positions."""
        ...

    def record_published(self, after: int, position: int) -> None:
        """The bus has acknowledged the commits beyond `after` up to `position`."""
        ...

    def record_projected(self, partition: int, after: int, position: int) -> None:
        """The rows have this partition's commits beyond `after` up to `position`: the transaction is committed."""
        ...

    def times(self, commit_id: str, position: int, partition: int) -> StepTimes:
        """Of the commit at this position, whose post belongs to this partition. `durable` only where `received` is
        known: other positions between those of a write are other processes'."""
        ...


class RowsMoved(Protocol):
    def notify(self) -> None:
        """Wake everybody who waits."""
        ...

    async def wait(self, timeout: float) -> None:
        """Return at the next `notify`, at the latest after `timeout` seconds."""
        ...
