"""Two checks of the log: is it the one that the read database was filled from, and has it every position?

A read database belongs to one log in one state: the log must have the commits that the checkpoints name.

No writer of Postlog leaves a gap in the positions. There is one if commits were removed by hand, if a backup was
restored in part, or if one was restored under running processes of an older version.
"""

import asyncio
from collections.abc import Iterable

from application.envelopes import Commit
from application.errors import LogDamaged, WrongLog
from application.log_order import LogGap
from application.ports.commit_log import CommitLog
from application.ports.provisioning import ProbeResult
from application.ports.read_db import Checkpoint, LiveGeneration
from domain.errors import PostlogError

_REMEDY = "Point read_db at its own database, or refill this one with `postlog rebuild`."


async def require_same_log(live: LiveGeneration, checkpoints: Iterable[Checkpoint], log: CommitLog) -> None:
    """Raises `WrongLog` if the rows of these checkpoints can't come from `log` as it is now."""
    log_id = await log.log_id()
    if live.log_id not in (None, log_id):
        raise WrongLog(
            f"The read database was filled from log {live.log_id}, but the event store holds log {log_id}. {_REMEDY}"
        )
    for checkpoint in checkpoints:
        if not checkpoint.commit_position:
            continue
        found = await commit_at(checkpoint.commit_position, log)
        if found is None or found.commit_id != checkpoint.commit_id:
            raise WrongLog(
                f"The read database has seen commit {checkpoint.commit_id} at position {checkpoint.commit_position}, "
                f"which the log does not have there: the log was restored to an older state. {_REMEDY}"
            )


async def commit_at(position: int, log: CommitLog) -> Commit | None:
    """None only if the log does not have it. A read right after a failover may be stale, so before a commit counts as
    gone, the log must prove where it ends.
    """
    found = await log.read(position - 1, 1)
    if not found and await log.proven_tip() >= position:
        found = await log.read(position - 1, 1)
    return found[0] if found else None


_NEAR_THE_END = 4_096
"""If the log was changed under running writers, the gap is this close to the end: after it are their new commits."""

_AT_ONCE = 500_000
"""Positions counted by one request, which takes a fraction of a second."""


class LogGaps:
    """Finds gaps at little cost if there are none. `known` is the gap that the last search found, or None.

    A search counts the last positions, and compares the tip with the store's own count of commits. If the store keeps
    no count, each search counts a further part of the older positions. All positions are counted only if these
    disagree.
    """

    def __init__(self, log: CommitLog) -> None:
        self._log = log
        self._searching = asyncio.Lock()
        self._has_searched = False
        self._dense_up_to = 0
        self._miscounted = 0
        self.known: LogGap | None = None

    async def require_none(self) -> None:
        """Searches at the first call only; later calls use the last result. Raises `LogDamaged`, `Unavailable`."""
        if not self._has_searched:
            async with self._searching:
                if not self._has_searched:
                    await self._update(thorough=False)
        if self.known is not None:
            raise LogDamaged(self.known.sentence)

    async def find(self, *, thorough: bool = False) -> LogGap | None:
        """`thorough` finds an old gap at once, too. After a cancellation the next search resumes there. Raises
        `StoreUnavailable`.
        """
        async with self._searching:
            return await self._update(thorough=thorough)

    async def _update(self, *, thorough: bool) -> LogGap | None:
        if self.known is None or not await self._is_still_there(self.known):
            self.known = await self._found(thorough=thorough)
        self._has_searched = True
        return self.known

    async def _found(self, *, thorough: bool) -> LogGap | None:
        await self._log.log_id()  # raises if the store holds two logs
        tip = await self._log.tip()
        if tip < self._dense_up_to:  # another log, or this one before it grew
            self._dense_up_to = 0
        near = max(0, tip - _NEAR_THE_END)
        about = await self._log.rough_count()
        if not await self._is_dense(near, tip):
            return await self._search(self._dense_up_to, tip)
        if about is not None and tip - about <= self._miscounted:
            return None
        if about is None and not thorough:
            return await self._search(self._dense_up_to, min(near, self._dense_up_to + _AT_ONCE))
        gap = await self._search(self._dense_up_to, near)
        if gap is None and about is not None:
            self._miscounted = tip - about
        return gap

    async def _is_dense(self, after: int, until: int) -> bool:
        return await self._log.count(after, until) == until - after

    async def _is_still_there(self, gap: LogGap) -> bool:
        """Reads a few keys, not the whole log again."""
        before = gap.first_missing - 1
        return (
            (before == 0 or await self._log.count(before - 1, before) == 1)
            and await self._log.count(before, gap.next_there - 1) == 0
            and await self._log.count(gap.next_there - 1, gap.next_there) == 1
        )

    async def _search(self, after: int, until: int) -> LogGap | None:
        for begin in range(after, until, _AT_ONCE):
            end = min(begin + _AT_ONCE, until)
            if not await self._is_dense(begin, end):
                return await self._exactly(begin, end)
            self._dense_up_to = end
        return None

    async def _exactly(self, whole: int, lacking: int) -> LogGap:
        """Bisect: no position up to `whole` is missing, and some position up to `lacking` is."""
        while lacking - whole > 1:
            middle = (whole + lacking) // 2
            if await self._is_dense(whole, middle):
                whole = middle
            else:
                lacking = middle
        empty, there = lacking, await self._log.tip()
        while there - empty > 1:
            middle = (empty + there) // 2
            if await self._log.count(empty, middle):
                there = middle
            else:
                empty = middle
        return LogGap(lacking, there)


class PositionsProbe:
    """Whether the log has every position: a projector stops at a gap, and no command is accepted after one."""

    name = "positions"

    def __init__(self, gaps: LogGaps) -> None:
        self._gaps = gaps

    async def probe(self) -> ProbeResult:
        try:
            gap = await self._gaps.find()
        except PostlogError as error:
            return ProbeResult(self.name, False, error.message)
        if gap is not None:
            return ProbeResult(self.name, False, gap.sentence)
        return ProbeResult(self.name, True, "No position is missing from the log.")
