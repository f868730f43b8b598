"""How much one transaction takes."""

from collections.abc import Sequence

from application.envelopes import Commit

MAX_EVENTS = 20_000
"""Bounds the memory and the time of one transaction; an imported commit alone may hold 1,000 events."""


def at_most(commits: Sequence[Commit], max_events: int = MAX_EVENTS) -> list[Commit]:
    """The first commits that hold at most `max_events` together; at least one if there is any."""
    taken: list[Commit] = []
    events = 0
    for commit in commits:
        events += len(commit.events)
        if taken and events > max_events:
            break
        taken.append(commit)
    return taken
