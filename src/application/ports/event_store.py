"""Append to the log and read one stream; snapshots of long streams.

Three unique keys guarantee everything that is promised here: position, (stream, version), commit id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from application.envelopes import Commit, ProposedCommit, StreamTail
from domain.ids import PostId


@dataclass(frozen=True, slots=True)
class Appended:
    """Durable, majority-committed, at this position."""

    position: int


@dataclass(frozen=True, slots=True)
class AlreadyStored:
    """A commit with this commit id was in the log before: this one. Nothing was added."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class VersionTaken:
    """Another commit holds one of this commit's versions. Nothing was added."""


@dataclass(frozen=True, slots=True)
class NotTried:
    """An earlier commit of the same stream in the same call failed, so this one was left out. Nothing was added."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The store did not report the outcome within its time limit: the commit may or may not be in the log."""

    reason: str


AppendOutcome = Appended | AlreadyStored | VersionTaken | NotTried | Unsettled


RECEIPT_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The result of a request with an idempotency key that changed nothing, so that the log has no commit of it.
    `version` and `position` are those of the stream's last commit at that time.
    """

    commit_id: str
    request_digest: str
    stream_id: PostId
    version: int
    position: int


class EventStore(Protocol):
    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        """Append in order as one group write; one outcome per commit, in the same order.

        Commits of one stream must be given in version order. Each commit is stored whole or not at all; if one fails,
        the later ones of its stream fail, too (`NotTried`), and no others. Positions are dense and follow the order of
        the call; a position lost to another writer is retried inside, never reported. When an outcome is `Appended`,
        the commit survives the loss of any minority of servers, and every position below it is visible to readers.
        A repeated commit id takes precedence over a taken version. Never raises because a server is unavailable: that
        is `Unsettled`, reported when the store's own time limit is up, and only for commits whose outcome is unknown or
        that were not tried. When the log was changed underneath (restored, dropped, edited), no commit is acknowledged
        that the log does not hold: a store that remembers what it builds on detects it and raises `LogChanged`, here
        and in every later call; some of the commits may be in the log then.
        """
        ...

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        """Commits of the stream whose last version is above `after_version`, oldest first, at most `limit`, at most
        about 16 MB (but at least one if there is any). Majority-committed. May be stale right after a failover, but is
        never older than what this process read before. Raises `StoreUnavailable`.
        """
        ...

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        """Where the stream ends now: no append acknowledged before the call is missed. None when it has no commit.
        Raises `StoreUnavailable`.
        """
        ...

    async def holds(self, stream_id: PostId, version: int, position: int, commit_id: str) -> bool:
        """Whether the commit with this id ends with `version` and is at `position`, and the stream has as many versions
        up to there: what a stored state claims. Counts keys of the stream, and reads no event. Raises
        `StoreUnavailable`.
        """
        ...

    async def find_commit(self, commit_id: str) -> Commit | None:
        """The majority-committed commit with this id, or None. Raises `StoreUnavailable`."""
        ...

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        """Store them durably, for at least `RECEIPT_DAYS`. The first receipt for a commit id stays. Raises
        `StoreUnavailable`.
        """
        ...

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        """No receipt stored before the call is missed. Raises `StoreUnavailable`."""
        ...


class PastEvents(Protocol):
    """Read access for history, gap fills and parked streams; no append may rely on it."""

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        """As `EventStore.read_stream`."""
        ...

    async def find_commit(self, commit_id: str) -> Commit | None:
        """As `EventStore.find_commit`."""
        ...

    async def last_version(self, stream_id: PostId) -> int:
        """The version of the stream's last majority-committed event; 0 when it has none. Raises `StoreUnavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state after `version`, whose commit is at `position`. A reader ignores a `format` that it does not write.
    A stream has one for each `name`: "" is the state that commands start from."""

    stream_id: PostId
    name: str = ""
    version: int
    position: int
    format: str
    state: bytes

    @property
    def key(self) -> str:
        return snapshot_key(self.stream_id, self.name)


def snapshot_key(stream_id: PostId, name: str) -> str:
    """By which a store keeps it."""
    return f"{stream_id}@{name}" if name else stream_id


class Snapshots(Protocol):
    """Stored states of long streams: a cache that can be dropped at any time; the log always wins over it."""

    async def load(self, stream_id: PostId, name: str = "") -> Snapshot | None:
        """The newest stored one of this name. Raises `StoreUnavailable`."""
        ...

    async def store(self, snapshot: Snapshot) -> None:
        """Replaces an older one of its name; an older one never replaces a newer one. Raises `StoreUnavailable`."""
        ...
