"""The remedy for a gap in the log when no backup has the missing commits: those after the gap are saved to a file, and
removed.

A log can't be read past a gap, so no row, message or state comes from commits after it, unless they were read before
the gap was there. Such a commit may have been acknowledged, by a process that wrote while the log changed underneath;
so nothing is removed that was not saved first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from application.errors import CutRefused
from application.log_order import LogGap
from application.ports.commit_log import CommitLog, CommitRemoval, StoredCommit
from application.projections.log_checks import LogGaps

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class CommitsAfterGap:
    """`commits` are after the gap, up to position `tip`; `first` are the first of them."""

    gap: LogGap
    commits: int
    tip: int
    first: Sequence[StoredCommit]

    @property
    def position(self) -> int:
        """The last one before the gap, where the log would end."""
        return self.gap.first_missing - 1


class LogCut:
    def __init__(self, log: CommitLog, removal: CommitRemoval) -> None:
        self._log = log
        self._removal = removal

    async def find(self) -> CommitsAfterGap | None:
        """None: no position is missing. Raises `StoreUnavailable`."""
        gap = await LogGaps(self._log).find(thorough=True)
        if gap is None:
            return None
        tip = await self._log.proven_tip()
        commits = await self._log.count(gap.first_missing - 1, tip)
        first: list[StoredCommit] = []
        async for page in self._removal.commits_after(gap.first_missing - 1):
            first += page[:_SHOWN]
            break
        return CommitsAfterGap(gap, commits, tip, first)

    async def cut(self, behind: int, save: Callable[[Sequence[StoredCommit]], None]) -> int:
        """Remove everything after the position `behind`, where the gap begins, and return how many commits that was.
        `save` is called with them first, and at last with an empty page, when they must be on the disk. Raises
        `CutRefused`, with nothing removed; `StoreUnavailable`."""
        found = await self.find()
        if found is None:
            raise CutRefused("No position is missing from the log, so nothing is removed from it.")
        if found.position != behind:
            raise CutRefused(
                f"The gap begins after position {found.position}, not after {behind}, so nothing was removed. Check "
                f"the commits after it, then confirm with --behind {found.position}."
            )
        commits: list[StoredCommit] = []
        async for page in self._removal.commits_after(behind):
            save(page)
            commits += [commit._replace(line="") for commit in page]
        save([])
        if not commits or commits[-1].position != await self._log.proven_tip():
            raise CutRefused(
                "The log is being written to, so nothing was removed. Stop every process that takes commands or "
                "imports, and run it again."
            )
        await self._removal.remove(commits, behind)
        if await self._log.proven_tip() != behind:
            raise CutRefused(
                "The log was written to meanwhile: the saved commits are removed, and more follow the gap. Stop "
                "every process that takes commands or imports, and run it again with another file."
            )
        return len(commits)
