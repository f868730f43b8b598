"""What one process of the service does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What a process does. One that serves neither commands nor queries is a worker: it answers for its health only."""

    commands: bool = False
    queries: bool = False
    projector: bool = False
    relay: bool = False
    auditor: bool = False
