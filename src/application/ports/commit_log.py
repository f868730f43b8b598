"""The log as one sequence of commits by position: reading it, and what an administrator may do with it (remove the
commits after a gap, copy it to a file, restore it).
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from application.envelopes import AnyCommit, Commit, CommitEvents
from domain.ids import PostId

_DIGITS = "0123456789abcdef"


class Shard(NamedTuple):
    """One of up to 16 parts of the posts, by the last digit of their ids, for parallel work."""

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
        """The last digits of the ids of its posts."""
        return _DIGITS[self.number :: self.shards]


class CommitVisitor(Protocol):
    """Is called in the order of the log, from one thread at a time."""

    def visit_text(self, position: int, stream_id: PostId, version: int, events: str | bytes) -> bool:
        """A commit whose events are still the JSON text that its store keeps. False: call `visit` with it, too."""
        ...

    def visit(self, commit: AnyCommit) -> None: ...


class CommitLog(Protocol):
    async def log_id(self) -> str:
        """The log's own id (UUID text), created with the log and never changed. Raises `StoreUnavailable`, and
        `LogDamaged` when the store also holds commits of another log.
        """
        ...

    async def tip(self) -> int:
        """The highest majority-committed position; 0 for an empty log. Raises `StoreUnavailable`."""
        ...

    async def proven_tip(self) -> int:
        """As `tip`, and no commit that was acknowledged before this call is beyond it, or missing in what the caller
        reads next. A `tip` or `read` right after a failover may be stale, so a caller that concludes that a commit is
        gone must call this first. May cost as much as an append. Raises `StoreUnavailable`.
        """
        ...

    async def count(self, after: int, until: int) -> int:
        """How many commits there are after `after` and up to `until`: fewer than positions if some are missing. Takes
        time in proportion to the number of keys. Raises `StoreUnavailable`.
        """
        ...

    async def rough_count(self) -> int | None:
        """How many commits the log has, in constant time; may be wrong after an unclean shutdown of the store. None if
        the store keeps no count. Raises `StoreUnavailable`.
        """
        ...

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        """The commits at `after + 1`, `after + 2`, … in order and without gap: at most `limit` of them and about 16
        MB, at least one if there is any, [] at the end. Only majority-committed ones, so a commit that was read never
        disappears. Raises `LogDamaged` where a position is missing, `StoreUnavailable`.
        """
        ...

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        """As `read`, but only the fields that a projection needs, and faster: it decides how long a rebuild takes."""
        ...

    async def read_shard(self, after: int, until: int, shard: Shard) -> list[CommitEvents]:
        """The commits of the shard's posts after `after` and up to `until`, in order: about 16 MB at most, at least one
        if there is any. Missing positions are not detected. Raises `StoreUnavailable`.
        """
        ...

    async def visit(self, after: int, until: int, visitor: CommitVisitor) -> None:
        """Visit the commits after `after` and up to `until` in order, as far as there are any. It verifies what `read`
        verifies and raises the same, but keeps no commit: memory and time are those of one commit at a time.
        """
        ...

    async def wait(self, after: int, timeout: float) -> None:
        """Return when there may be a commit beyond `after`, at the latest after `timeout` seconds. An append in this
        process wakes it at once, one in another process within 200 ms. May return early; the caller reads to find out.
        """
        ...


class StoredCommit(NamedTuple):
    """`line` is the whole commit as JSON, in the form that `mongoimport` accepts for the collection `commits`."""

    position: int
    commit_id: str
    stream_id: PostId
    version: int
    line: str


class CommitRemoval(Protocol):
    """For an administrator, after a gap only. The service's own login has no right to do it."""

    def commits_after(self, position: int) -> AsyncIterator[Sequence[StoredCommit]]:
        """All commits after `position`, in order, in pages. Raises `StoreUnavailable`."""
        ...

    async def remove(self, commits: Sequence[StoredCommit], position: int) -> None:
        """Remove these commits, each by position and commit id, the last one first, so that an interruption leaves no
        further gap. Then remove what may depend on them: delete all snapshots, and set the relay's checkpoint back to
        `position`. Raises `StoreUnavailable`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCopy:
    """`file` holds log `log_id` up to `position`. `gaps` are clauses that name commits missing from it. `kept` is where
    the previous log was moved to.
    """

    file: Path
    log_id: str
    position: int
    gaps: Sequence[str] = ()
    kept: Path | None = None


class LogBackup(Protocol):
    """For logs that are a file. No method leaves an incomplete file. All raise `BackupRefused` and `CannotOpen`."""

    async def backup(self, file: Path, *, overwrite: bool) -> LogCopy:
        """A consistent copy of the log, also while it is being written to."""
        ...

    async def restore(self, file: Path) -> LogCopy:
        """Make a copy of `file` the log; the previous log is kept under another name. Refused while a process has the
        log open, and if the file is not an intact log of a version that this Postlog supports.
        """
        ...
