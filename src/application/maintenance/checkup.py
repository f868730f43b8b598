"""The doctor's findings for people who keep looking: examined again only when they have grown old, once for all who
look."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from application.maintenance.doctor import Doctor, Finding
from application.ports.system import Clock


@dataclass(frozen=True, slots=True)
class Findings:
    at: datetime
    all: Sequence[Finding]


class Checkup:
    """`doctor` makes the doctor when it is first needed. Findings older than `seconds` are old."""

    def __init__(self, doctor: Callable[[], Doctor], clock: Clock, seconds: float = 10.0) -> None:
        self._doctor = doctor
        self._clock = clock
        self._seconds = seconds
        self._examination: asyncio.Task[None] | None = None
        self._due = 0.0
        self.last: Findings | None = None

    async def look(self, patience: float = 0.0) -> Findings | None:
        """The last findings, and those of the examination under way if it ends within `patience` seconds. None: the
        first one has not ended yet."""
        if self._examination is None or (self._examination.done() and self._clock.monotonic() >= self._due):
            self._examination = asyncio.create_task(self._examine(), name="checkup")
        if patience:
            await asyncio.wait([self._examination], timeout=patience)
        return self.last

    def expire(self) -> None:
        """Something was changed: the next look examines again."""
        self._due = 0.0

    async def stop(self) -> None:
        if self._examination is not None:
            self._examination.cancel()
            await asyncio.wait([self._examination])

    async def _examine(self) -> None:
        try:
            found = [finding async for finding in self._doctor().examine()]
            self.last = Findings(self._clock.now(), found)
        finally:
            self._due = self._clock.monotonic() + self._seconds
