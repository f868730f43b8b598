"""The event store seen as one sequence of commits by position.

Taking commits out of the log, which the service itself may not do: for an administrator, behind a gap only.

Copies of the whole log in one file, and the log made of such a copy. Of logs that are a file themselves.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from application.envelopes import Commit, CommitEvents
from domain.ids import PostId

MAX_SHARDS = 16

_DIGITS = "0123456789abcdef"


class Shard(NamedTuple):
    """One of up to 16 parts into which posts are divided for work side by side, by the last digit of their ids."""

    number: int
    shards: int

    @classmethod
    def all(cls, shards: int) -> "list[Self]":
        return [cls(number, shards) for number in range(shards)]

    @classmethod
    def of(cls, post_id: PostId, shards: int) -> Self:
        return cls(_DIGITS.index(post_id[-1]) % shards, shards)

    @property
    def last_digits(self) -> str:
        """Those with which the ids of its posts end."""
        return _DIGITS[self.number :: self.shards]


class CommitLog(Protocol):
    async def log_id(self) -> str:
        """The log's own id (UUID text), made with the log and never changed. Raises `StoreUnavailable`, and
        `LogDamaged` when the store holds what was another log's."""
        ...

    async def tip(self) -> int:
        """The highest majority-committed position; 0 for an empty log. Raises `StoreUnavailable`."""
        ...

    async def proven_tip(self) -> int:
        """As `tip`, and no commit that was acknowledged before this call is beyond it, nor missing in what the caller
        reads next. A `tip` or `read` straight after a failover may lag: who would conclude that a commit is gone asks
        this first. May cost as much as an append. Raises `StoreUnavailable`.
        """
        ...

    async def count(self, after: int, until: int) -> int:
        """How many commits stand behind `after` and up to `until`: fewer than positions where some are missing. Takes
        as long as it takes to look through so many keys. Raises `StoreUnavailable`."""
        ...

    async def rough_count(self) -> int | None:
        """How many commits the log has, at once, however many there are; wrong after an unclean shutdown of the store.
        None where the store does not know. Raises `StoreUnavailable`."""
        ...

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        """The commits at `after + 1`, `after + 2`, … in order and without gap: at most `limit` of them and about 16
        MB, at least one if there is any, [] at the end. Only majority-committed ones, so what was read never goes
        away. Raises `LogDamaged` where a position is missing, `StoreUnavailable`.
        """
        ...

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        """As `read`, with what a projection needs of each commit, and faster: what decides how long a rebuild takes."""
        ...

    async def read_shard(self, after: int, until: int, shard: Shard) -> list[CommitEvents]:
        """Those behind `after` and up to `until` that are of the share's posts, in order: about 16 MB at most, at least
        one if there is any. What is missing from the log does not show. Raises `StoreUnavailable`."""
        ...

    async def wait(self, after: int, timeout: float) -> None:
        """Return when a commit beyond `after` may be there, at the latest after `timeout` seconds. An append in this
        process wakes it at once, another process's within 200 ms. May wake early; the caller reads to know."""
        ...


class StoredCommit(NamedTuple):
    """`line` is the whole commit as JSON, as `mongoimport` takes it into the collection `commits`, too."""

    position: int
    commit_id: str
    stream_id: PostId
    version: int
    line: str


class CommitRemoval(Protocol):
    def behind(self, position: int) -> AsyncIterator[Sequence[StoredCommit]]:
        """All commits behind `position`, in order, a page at a time. Raises `StoreUnavailable`."""
        ...

    async def remove(self, commits: Sequence[StoredCommit], position: int) -> None:
        """These, each by position and commit id, the last first, so that one that is interrupted leaves no other gap;
        then what may rest on them: all snapshots go, and the relay's checkpoint goes back to `position`. Raises
        `StoreUnavailable`."""
        ...


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
