"""The way out of a gap in the log when no backup has what is missing: what stands behind it is saved, and removed.

A log can't be read past a gap, so no row, message or state comes from behind it, unless it was there before the gap
was. Somebody may have been answered that it is stored, by a process that wrote on when the log had changed underneath;
so nothing is removed that was not saved to a file first.
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
    """`commits` stand behind the gap, up to position `tip`; `first` are the first of them."""

    gap: LogGap
    commits: int
    tip: int
    first: Sequence[StoredCommit]

    @property
    def position(self) -> int:
        """The last one before the gap: where the log would end."""
        return self.gap.first_missing - 1


class LogCut:
    def __init__(self, log: CommitLog, removal: CommitRemoval) -> None:
        self._log = log
        self._removal = removal

    async def look(self) -> CommitsAfterGap | None:
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
        """Remove everything behind the position `behind`, where the gap begins; how many commits that was. `save` is
        handed them first, and at last an empty page, when they must be on the disk. Raises `CutRefused`, with nothing
        removed; `StoreUnavailable`."""
        found = await self.look()
        if found is None:
            raise CutRefused("No position is missing from the log, so nothing is removed from it.")
        if found.position != behind:
            raise CutRefused(
                f"The gap begins behind position {found.position}, not behind {behind}, so nothing was removed. Look "
                f"at what stands behind it, then confirm with --behind {found.position}."
            )
        commits: list[StoredCommit] = []
        async for page in self._removal.commits_after(behind):
            save(page)
            commits += [commit._replace(line="") for commit in page]
        save([])
        if not commits or commits[-1].position != await self._log.proven_tip():
            raise CutRefused(
                "Somebody writes to the log, so nothing was removed. Stop every process that takes commands or "
                "imports, and begin again."
            )
        await self._removal.remove(commits, behind)
        if await self._log.proven_tip() != behind:
            raise CutRefused(
                "Somebody wrote to the log meanwhile: what was saved is removed, and more stands behind the gap. Stop "
                "every process that takes commands or imports, and begin again with another file."
            )
        return len(commits)
