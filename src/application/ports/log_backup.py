"""Copies of the whole log in one file, and the log made of such a copy. Of logs that are a file themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCopy:
    """What `file` holds: log `log_id` up to `position`. `gaps` are clauses that say which commits are missing in it,
    which they should not be. `kept` is where the log is that was there before."""

    file: Path
    log_id: str
    position: int
    gaps: Sequence[str] = ()
    kept: Path | None = None


class LogBackup(Protocol):
    """No method leaves half a file behind. All raise `BackupRefused` with one sentence, and `CannotOpen`."""

    async def backup(self, file: Path, *, overwrite: bool) -> LogCopy:
        """A sound copy of the log as it is at one moment, also while it is written to."""
        ...

    async def restore(self, file: Path) -> LogCopy:
        """Make `file` the log. The log that is there is kept under another name. Refused while a process has the log
        open, and for a file that is no sound log of a version that this Postlog knows."""
        ...
