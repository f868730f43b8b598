"""When the steps of a command's way were taken in this process: noted where each is taken, for people who ask what
happened. The log and the rows know nothing of it; other processes note their own.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """None: not taken in this process, or longer ago than it keeps."""

    received: datetime | None
    durable: datetime | None
    published: datetime | None
    projected: datetime | None


class Journal(Protocol):
    """Notes cost next to nothing, and only the last ones are kept."""

    def note_received(self, commit_id: str) -> None:
        """A command came that leads to this commit, if to any. A repeated one is the same commit's."""
        ...

    def note_durable(self, first: int, last: int) -> None:
        """The store has acknowledged a write of this process whose commits lie between these positions."""
        ...

    def note_published(self, after: int, position: int) -> None:
        """The bus has acknowledged the commits beyond `after` up to `position`."""
        ...

    def note_projected(self, partition: int, after: int, position: int) -> None:
        """The rows have this partition's commits beyond `after` up to `position`: the transaction is committed."""
        ...

    def times(self, commit_id: str, position: int, partition: int) -> StepTimes:
        """Of the commit at this position, whose post belongs to this partition. `durable` only where `received` is
        known: other positions between those of a write are other processes'."""
        ...
