"""How far everything is, for operators: the log, the bus, the rows by partition."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from application.mediator import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStanding:
    """`commits` and `events` of the log belong to this partition and are not in the rows, the oldest of them since
    `since`. They are counted in a bounded part of the log: where that ended early, `at_least` so many."""

    partition: int
    position: int
    commits: int
    events: int
    since: datetime | None
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsStanding:
    """Of the read database that queries are answered from. `live_since` is when its generation took the place of
    another; None when that is not known any more."""

    adapter: str
    generation: int
    live_since: datetime | None
    ready: bool
    position: int
    parked: int
    partitions: Sequence[PartitionStanding]

    @property
    def commits(self) -> int:
        return sum(partition.commits for partition in self.partitions)

    @property
    def events(self) -> int:
        return sum(partition.events for partition in self.partitions)

    @property
    def at_least(self) -> bool:
        return any(partition.at_least for partition in self.partitions)

    @property
    def since(self) -> datetime | None:
        return min((each.since for each in self.partitions if each.since is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStanding:
    """`owner` is the relay that publishes now; None: none does. Everything up to `position` is on the bus."""

    owner: str | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """At the time `at`, by this process's clock. What does not answer is None, and `problems` says why. `relay` is None
    too where there is no bus."""

    at: datetime
    tip: int | None
    rows: RowsStanding | None
    relay: RelayStanding | None
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class GetPipelineStatus(Query[PipelineStatus]):
    """Never raises for a server that is away: the answer says so."""
