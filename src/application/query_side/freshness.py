"""Whether a position lies beyond the log's end: looked up for all who ask at a time, and proven before it is believed.

After a failover a read of the tip may be older than what was acknowledged, and another process may have acknowledged a
commit a moment ago. So only a proven tip below the position counts, and only of a look that began after the question. A
proof may cost as much as an append: looks are shared, and are a pause apart, however many ask.

Read your own writes: the bounded wait for rows at least as new as a position.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.errors import NotYetVisible, PositionBeyondLog, PostParked, ReadDbNotReady, Unavailable
from application.ports.commit_log import CommitLog
from application.ports.post_views import Stamp, Stamped
from application.ports.system import Clock, RowsMoved

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


T = TypeVar("T")

_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.002, 0.02
"""Projectors in other processes can't wake us; this is how late we notice them. Rows are mostly on their way when they
are asked for, so the first looks come soon."""

_SECONDS_BEFORE_LOG_IS_ASKED = 0.05
"""By then most rows have come, and the log need not be asked whether there is such a position at all."""


class Freshness:
    """`wait_seconds` is how long a query waits for rows as new as it asks for, or for rows at all, in seconds."""

    def __init__(self, clock: Clock, rows_moved: RowsMoved, log_end: LogEnd, wait_seconds: float) -> None:
        self._clock = clock
        self._log_end = log_end
        self._rows_moved = rows_moved
        self._wait_seconds = wait_seconds

    async def read(self, read: Callable[[], Awaitable[Stamped[T]]], min_position: int | None) -> Stamped[T]:
        """What `read` answers once its stamp is new enough. The stamp comes from the same snapshot as the rows, so a
        swap in between can't make them older. Raises `ReadDbNotReady`, `PostParked`, `PositionBeyondLog`,
        `NotYetVisible`.
        """
        asked_at = self._clock.monotonic()
        until = asked_at + self._wait_seconds
        pause = _FIRST_POLL_SECONDS
        asking: asyncio.Task[int | None] | None = None
        try:
            while True:
                answer = await read()
                if _is_new_enough(answer.stamp, min_position):
                    return answer
                now = self._clock.monotonic()
                if now >= until:
                    raise self._too_old(answer.stamp, min_position)
                if min_position is not None and now >= asked_at + _SECONDS_BEFORE_LOG_IS_ASKED:
                    asking = asking or asyncio.create_task(self._log_end.proven_below(min_position))
                    _require_in_log(min_position, asking)
                await self._rows_moved.wait(min(until - now, pause))
                pause = min(2 * pause, _LONGEST_POLL_SECONDS)
        finally:
            if asking is not None:
                asking.cancel()

    def _too_old(self, stamp: Stamp, min_position: int | None) -> Unavailable:
        if not stamp.ready:
            return ReadDbNotReady(
                "The read database is being filled from the log for the first time. Ask again later.", retry_after=5
            )
        return NotYetVisible(
            f"The read database stands at position {stamp.position} and did not reach {min_position} within "
            f"{self._wait_seconds:g} s. Ask again a little later.",
            path="Postlog-Min-Position",
        )


def _require_in_log(min_position: int, asking: "asyncio.Task[int | None]") -> None:
    """Once it is known. Raises `PositionBeyondLog`."""
    end = asking.result() if asking.done() else None
    if end is not None:
        raise PositionBeyondLog(
            f"Postlog-Min-Position names position {min_position}, but the log ends at {end}. The log may have been "
            "restored from a backup: forget the position, and read again without it.",
            path="Postlog-Min-Position",
        )


def _is_new_enough(stamp: Stamp, min_position: int | None) -> bool:
    if not stamp.ready:
        return False
    if min_position is None:
        return True
    if stamp.post_parked_at is not None and min_position >= stamp.post_parked_at:
        raise PostParked(
            f"This post has been waiting since position {stamp.post_parked_at}, because an event of it could not be "
            "projected; `postlog parked show` gives the reason.",
            retry_after=60,
        )
    return stamp.position >= min_position
