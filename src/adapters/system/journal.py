"""The journal of this process, in its memory."""

import time
from collections import OrderedDict, defaultdict, deque
from datetime import UTC, datetime
from typing import NamedTuple

from application.ports.system import StepTimes

_COMMANDS = 20_000
_MARKS = 5_000
"""Of each kind. A mark is for a whole batch, so marks reach back further than commands."""


class _Mark(NamedTuple):
    first: int
    last: int
    at: float


class LocalJournal:
    """Belongs to one event loop."""

    def __init__(self, commands: int = _COMMANDS, marks: int = _MARKS) -> None:
        self._commands = commands
        self._received: OrderedDict[str, float] = OrderedDict()
        self._durable: deque[_Mark] = deque(maxlen=marks)
        self._published: deque[_Mark] = deque(maxlen=marks)
        self._projected: defaultdict[int, deque[_Mark]] = defaultdict(lambda: deque(maxlen=marks))

    def record_received(self, commit_id: str) -> None:
        if commit_id not in self._received:
            self._received[commit_id] = time.time()
            if len(self._received) > self._commands:
                self._received.popitem(last=False)

    def record_durable(self, first: int, last: int) -> None:
        self._durable.append(_Mark(first, last, time.time()))

    def record_published(self, after: int, position: int) -> None:
        self._published.append(_Mark(after + 1, position, time.time()))

    def record_projected(self, partition: int, after: int, position: int) -> None:
        if position > after:
            self._projected[partition].append(_Mark(after + 1, position, time.time()))

    def times(self, commit_id: str, position: int, partition: int) -> StepTimes:
        received = self._received.get(commit_id)
        projected = self._projected.get(partition, ())
        return StepTimes(
            received=_moment(received),
            durable=_moment(_first(self._durable, position)) if received is not None else None,
            published=_moment(_first(self._published, position)),
            projected=_moment(_first(projected, position)),
        )


def _first(marks: "deque[_Mark] | tuple[()]", position: int) -> float | None:
    """The first mark counts: after a failure, a step may be taken a second time."""
    return next((mark.at for mark in marks if mark.first <= position <= mark.last), None)


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
