"""Read your own writes: the bounded wait for rows at least as new as a position."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.errors import NotYetVisible, PositionBeyondLog, PostParked, ReadDbNotReady, Unavailable
from application.ports.post_views import Stamp, Stamped
from application.ports.system import Clock, RowsMoved
from application.query_side.log_end import LogEnd

T = TypeVar("T")

_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.002, 0.02
"""Projectors in other processes can't wake us; this is how late we notice them. Rows are mostly on their way when they
are asked for, so the first looks come soon."""

_SECONDS_BEFORE_LOG_IS_ASKED = 0.05
"""By then most rows have come, and the log need not be asked whether there is such a position at all."""


class Freshness:
    """`patience` is how long a query waits for rows as new as it asks for, or for rows at all, in seconds."""

    def __init__(self, clock: Clock, rows_moved: RowsMoved, log_end: LogEnd, patience: float) -> None:
        self._clock = clock
        self._log_end = log_end
        self._rows_moved = rows_moved
        self._patience = patience

    async def read(self, read: Callable[[], Awaitable[Stamped[T]]], min_position: int | None) -> Stamped[T]:
        """What `read` answers once its stamp is new enough. The stamp comes from the same snapshot as the rows, so a
        swap in between can't make them older. Raises `ReadDbNotReady`, `PostParked`, `PositionBeyondLog`,
        `NotYetVisible`.
        """
        asked_at = self._clock.monotonic()
        until = asked_at + self._patience
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
            f"{self._patience:g} s. Ask again a little later.",
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
