"""Whether a position lies beyond the log's end: looked up for all who ask at a time, and proven before it is believed.

After a failover a read of the tip may be older than what was acknowledged, and another process may have acknowledged a
commit a moment ago. So only a proven tip below the position counts, and only of a look that began after the question. A
proof may cost as much as an append: looks are shared, and are a pause apart, however many ask.
"""

import asyncio

from application.errors import Unavailable
from application.ports.commit_log import CommitLog
from application.ports.system import Clock

_SECONDS_BETWEEN_LOOKS = 0.1


class LogEnd:
    """Used in one event loop."""

    def __init__(self, log: CommitLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._under_way: asyncio.Task[int | None] | None = None
        self._next: asyncio.Task[int | None] | None = None
        self._highest_asked = 0
        self._looked_at: float | None = None

    async def proven_below(self, position: int) -> int | None:
        """Where the log ends, when that is proven to be below `position`. None when it is not, or when the log does not
        answer: a query goes on waiting for rows then, which may come."""
        if self._next is None:
            self._next = asyncio.create_task(self._look_after(self._under_way), name="end of the log")
        self._highest_asked = max(self._highest_asked, position)
        end = await asyncio.shield(self._next)
        return end if end is not None and end < position else None

    async def _look_after(self, before: "asyncio.Task[int | None] | None") -> int | None:
        if before is not None:
            await asyncio.wait([before])
        if self._looked_at is not None:
            await asyncio.sleep(max(0.0, self._looked_at + _SECONDS_BETWEEN_LOOKS - self._clock.monotonic()))
        self._looked_at = self._clock.monotonic()
        self._under_way, self._next = self._next, None
        position, self._highest_asked = self._highest_asked, 0
        try:
            tip = await self._log.tip()
            return tip if tip >= position else await self._log.proven_tip()
        except Unavailable:
            return None
