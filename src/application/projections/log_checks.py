"""A read database belongs to one log, in one state of it: the log must have the commits that its checkpoints name.

Positions that the log lacks: looked for at little cost where there are none, and exactly where there may be one.

No writer of Postlog leaves a gap. One is there when commits were removed by hand, a backup was restored in part, or one
was restored below running processes of an older version.
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

_REMEDY = "Point read_db at its own database, or fill this one anew with `postlog rebuild`."


async def require_same_log(live: LiveGeneration, checkpoints: Iterable[Checkpoint], log: CommitLog) -> None:
    """Raises `WrongLog` if the rows of these checkpoints can not have come from `log` as it is now."""
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
    """None only when the log has lost it, or never had it: a read straight after a failover may lag, so before a commit
    is believed to be gone, the log has to prove where it ends."""
    found = await log.read(position - 1, 1)
    if not found and await log.proven_tip() >= position:
        found = await log.read(position - 1, 1)
    return found[0] if found else None


_NEAR_THE_END = 4_096
"""Where a log that changed underneath its writers has its gap: behind it stands what came since."""

_AT_ONCE = 500_000
"""Positions that one request counts, in a fraction of a second."""


class LogGaps:
    """`known` is the gap that the last look found; None: none.

    A look counts the last positions, and compares the tip with the store's own count of commits. Where the store does
    not keep one, each look counts a piece more of what is older. Everything is counted only where these disagree.
    """

    def __init__(self, log: CommitLog) -> None:
        self._log = log
        self._looking = asyncio.Lock()
        self._has_looked = False
        self._dense_up_to = 0
        self._miscounted = 0
        self.known: LogGap | None = None

    async def require_none(self) -> None:
        """Looks the first time only; then it goes by what the last look found. Raises `LogDamaged`, `Unavailable`."""
        if not self._has_looked:
            async with self._looking:
                if not self._has_looked:
                    await self._look(thorough=False)
        if self.known is not None:
            raise LogDamaged(self.known.sentence)

    async def look(self, *, thorough: bool = False) -> LogGap | None:
        """`thorough`: an old gap is found at once, too. One that is cancelled goes on where it was. Raises
        `StoreUnavailable`."""
        async with self._looking:
            return await self._look(thorough=thorough)

    async def _look(self, *, thorough: bool) -> LogGap | None:
        if self.known is None or not await self._is_still_there(self.known):
            self.known = await self._found(thorough=thorough)
        self._has_looked = True
        return self.known

    async def _found(self, *, thorough: bool) -> LogGap | None:
        await self._log.log_id()  # a store that holds two logs says so
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
        """A few keys are looked at, not the whole log again."""
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
        """Everything up to `whole` is there, and something up to `lacking` is not."""
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
    """Whether the log has every position, for processes that would stop at a gap, or must not write behind it."""

    name = "positions"

    def __init__(self, gaps: LogGaps) -> None:
        self._holes = gaps

    async def probe(self) -> ProbeResult:
        try:
            gap = await self._holes.look()
        except PostlogError as error:
            return ProbeResult(self.name, False, error.message)
        if gap is not None:
            return ProbeResult(self.name, False, gap.sentence)
        return ProbeResult(self.name, True, "No position is missing from the log.")
