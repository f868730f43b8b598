"""How much one transaction takes."""

from collections.abc import Sequence
from typing import TypeVar

from application.envelopes import Commit, CommitEvents

C = TypeVar("C", Commit, CommitEvents)

MAX_EVENTS = 20_000
"""Bounds the memory and the time of one transaction; an imported commit alone may hold 1,000 events."""


def at_most(commits: Sequence[C], max_events: int = MAX_EVENTS) -> list[C]:
    """The first commits that hold at most `max_events` together; at least one if there is any."""
    taken: list[C] = []
    events = 0
    for commit in commits:
        events += len(commit.events)
        if taken and events > max_events:
            break
        taken.append(commit)
    return taken
