"""Read your own writes: the bounded wait for rows at least as new as a position.

A client may also ask for a position that the log does not have (it was restored from a backup, say). Waiting would not
help, so `LogEnd` proves that, and the query is refused at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.errors import NotYetVisible, PositionBeyondLog, PostParked, ReadDbNotReady, Unavailable
from application.ports.commit_log import CommitLog
from application.ports.post_views import Stamp, Stamped
from application.ports.system import Clock, RowsMoved

T = TypeVar("T")

_SHORTEST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.002, 0.02
_POLLS_A_WAIT = 8
"""Projectors in other processes can't wake this one; this is how late it learns of their rows. Most rows are about to
arrive when they are asked for. So the pause between two polls is a part of the time waited so far: no query waits much
longer than its rows need, and one whose rows are far away polls less often. A projector in this process wakes it."""

_AHEAD_OF_READ_SECONDS = 0.005
"""What a projector of this process needs for the commit just acknowledged. A read before that would be in its way."""

_SECONDS_BEFORE_LOG_IS_READ = 0.05
"""By then most rows have arrived, and whether the log has such a position at all need not be read."""

_SECONDS_BETWEEN_READS = 0.1


class LogEnd:
    """Whether a position lies beyond the log's end: read once for all concurrent callers, and proven.

    After a failover the tip that is read may be older than what was acknowledged, and another process may have
    acknowledged a commit a moment ago. So only a proven tip below the position counts, and only of a read that began
    after the question. A proof may cost as much as an append: reads are shared, with a pause in between, however many
    callers there are. For one event loop."""

    def __init__(self, log: CommitLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._in_flight: asyncio.Task[int | None] | None = None
        self._next: asyncio.Task[int | None] | None = None
        self._highest_asked = 0
        self._read_at: float | None = None

    async def proven_below(self, position: int) -> int | None:
        """The log's end, when that is proven to be below `position`. None when it is not, or when the log is
        unavailable: the rows may still arrive, so a query keeps waiting."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._in_flight), name="end of the log")
        self._highest_asked = max(self._highest_asked, position)
        end = await asyncio.shield(self._next)
        return end if end is not None and end < position else None

    async def _read_after(self, before: "asyncio.Task[int | None] | None") -> int | None:
        if before is not None:
            await asyncio.wait([before])
        if self._read_at is not None:
            await asyncio.sleep(max(0.0, self._read_at + _SECONDS_BETWEEN_READS - self._clock.monotonic()))
        self._read_at = self._clock.monotonic()
        self._in_flight, self._next = self._next, None
        position, self._highest_asked = self._highest_asked, 0
        try:
            tip = await self._log.tip()
            return tip if tip >= position else await self._log.proven_tip()
        except Unavailable:
            return None


class Freshness:
    """`wait_seconds` is how long a query waits for rows as new as it asks for, or for rows at all."""

    def __init__(self, clock: Clock, rows_moved: RowsMoved, log_end: LogEnd, wait_seconds: float) -> None:
        self._clock = clock
        self._log_end = log_end
        self._rows_moved = rows_moved
        self._wait_seconds = wait_seconds

    async def read(self, read: Callable[[], Awaitable[Stamped[T]]], min_position: int | None) -> Stamped[T]:
        """The result of `read` once its stamp is new enough. The stamp comes from the same snapshot as the rows, so a
        swap in between can't make them older. Raises `ReadDbNotReady`, `PostParked`, `PositionBeyondLog`,
        `NotYetVisible`.
        """
        asked_at = self._clock.monotonic()
        until = asked_at + self._wait_seconds
        proof: asyncio.Task[int | None] | None = None
        projected = self._rows_moved.position
        if min_position is not None and projected is not None and projected < min_position:
            await self._rows_moved.wait(min(_AHEAD_OF_READ_SECONDS, self._wait_seconds))
        try:
            while True:
                found = await read()
                if _is_new_enough(found.stamp, min_position):
                    return found
                now = self._clock.monotonic()
                if now >= until:
                    raise self._too_old(found.stamp, min_position)
                if min_position is not None and now >= asked_at + _SECONDS_BEFORE_LOG_IS_READ:
                    proof = proof or asyncio.create_task(self._log_end.proven_below(min_position))
                    _require_in_log(min_position, proof)
                await self._rows_moved.wait(min(until - now, self._pause(now - asked_at)))
        finally:
            if proof is not None:
                proof.cancel()

    def _pause(self, waited: float) -> float:
        if self._rows_moved.position is not None:
            return _LONGEST_POLL_SECONDS
        return min(max(_SHORTEST_POLL_SECONDS, waited / _POLLS_A_WAIT), _LONGEST_POLL_SECONDS)

    def _too_old(self, stamp: Stamp, min_position: int | None) -> Unavailable:
        if not stamp.ready:
            return ReadDbNotReady(
                "The read database is being filled from the log for the first time. Send the request again later.",
                retry_after=5,
            )
        return NotYetVisible(
            f"The read database is at position {stamp.position} and did not reach {min_position} within "
            f"{self._wait_seconds:g} s. Send the request again a little later.",
            path="Postlog-Min-Position",
        )


def _require_in_log(min_position: int, proof: "asyncio.Task[int | None]") -> None:
    """Does nothing while the proof is pending. Raises `PositionBeyondLog`."""
    end = proof.result() if proof.done() else None
    if end is not None:
        raise PositionBeyondLog(
            f"Postlog-Min-Position names position {min_position}, but the log ends at {end}. The log may have been "
            "restored from a backup: discard the position, and read again without it.",
            path="Postlog-Min-Position",
        )


def _is_new_enough(stamp: Stamp, min_position: int | None) -> bool:
    if not stamp.ready:
        return False
    if min_position is None:
        return True
    if stamp.post_parked_at is not None and min_position >= stamp.post_parked_at:
        raise PostParked(
            f"This post is parked since position {stamp.post_parked_at}, because one of its events could not be "
            "projected; `postlog parked show` gives the reason.",
            retry_after=60,
        )
    return stamp.position >= min_position
