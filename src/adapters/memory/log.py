"""A log in this process's memory, gone when the process ends: event store, commit log, relay state and snapshots.

For tests, and for trying Postlog out.
"""

import asyncio
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from uuid import uuid4

from adapters.wire.commit_json import events_to_json
from application.envelopes import Commit, CommitEvents, ProposedCommit, StreamTail
from application.ports.commit_log import CommitVisitor, Shard
from application.ports.event_store import (
    AlreadyStored,
    Appended,
    AppendOutcome,
    NotTried,
    Receipt,
    Snapshot,
    VersionTaken,
    snapshot_key,
)
from application.ports.relay_state import Lease, RelayStatus
from domain.ids import PostId

_PAGE_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """`size` is that of the events' JSON, in bytes."""

    commit: Commit
    size: int


@dataclass(slots=True)
class RelayRecord:
    """The last lease that was granted; token 0 before the first. `ends_at` is a monotonic time in seconds; a released
    lease has no owner."""

    owner: str | None = None
    token: int = 0
    position: int = 0
    ends_at: float = 0.0

    def is_valid(self, now: float) -> bool:
        return self.owner is not None and now < self.ends_at

    def belongs_to(self, lease: Lease) -> bool:
        return self.owner is not None and self.token == lease.token


class MemoryLog:
    """Shared by the adapters below. Belongs to one event loop."""

    def __init__(self) -> None:
        self.log_id = str(uuid4())
        self.snapshots: dict[str, Snapshot] = {}
        self.relay = RelayRecord()
        self.by_commit_id: dict[str, Commit] = {}
        self.receipts: dict[str, Receipt] = {}
        self._entries: list[_Entry] = []
        self._streams: defaultdict[PostId, list[_Entry]] = defaultdict(list)
        self._appended = asyncio.Event()

    @property
    def tip(self) -> int:
        return len(self._entries)

    def add(self, proposed: ProposedCommit) -> Commit:
        """Store it at the next position; the caller has checked version and commit id."""
        commit = Commit(self.tip + 1, *proposed)
        entry = _Entry(commit, len(events_to_json(commit.events)))
        self._entries.append(entry)
        self._streams[commit.stream_id].append(entry)
        self.by_commit_id[commit.commit_id] = commit
        return commit

    def last_of(self, stream_id: PostId) -> Commit | None:
        stream = self._streams.get(stream_id)
        return stream[-1].commit if stream else None

    def page(self, after: int, limit: int) -> list[Commit]:
        return _page(self._entries, after, limit)

    def stream_page(self, stream_id: PostId, after_version: int, limit: int) -> list[Commit]:
        stream = self._streams.get(stream_id, [])
        # A damaged commit may have no event; it is read too, as in the other stores.
        first = bisect_right(
            stream, after_version, key=lambda entry: max(entry.commit.version, entry.commit.last_version)
        )
        return _page(stream, first, limit)

    def wake(self) -> None:
        """Wake all tasks that wait for more commits."""
        appended, self._appended = self._appended, asyncio.Event()
        appended.set()

    async def woken(self) -> None:
        """Return at the next `wake`."""
        await self._appended.wait()


def _page(entries: Sequence[_Entry], first: int, limit: int) -> list[Commit]:
    page: list[Commit] = []
    room = _PAGE_BYTES
    for entry in islice(entries, first, first + limit):
        if page and entry.size > room:
            break
        page.append(entry.commit)
        room -= entry.size
    return page


class MemoryEventStore:
    """An append runs to its end without a pause, so it is atomic in its event loop."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        failed: set[PostId] = set()
        outcomes: list[AppendOutcome] = []
        for commit in commits:
            outcome = NotTried() if commit.stream_id in failed else self._append_one(commit)
            if not isinstance(outcome, Appended):
                failed.add(commit.stream_id)
            outcomes.append(outcome)
        self._log.wake()
        return outcomes

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        return self._log.stream_page(stream_id, after_version, limit)

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        last = self._log.last_of(stream_id)
        return StreamTail(last.last_version, last.position) if last else None

    async def holds(self, stream_id: PostId, version: int, position: int, commit_id: str) -> bool:
        commits = [each for each in self._log.stream_page(stream_id, 0, version) if each.version <= version]
        ends = [(each.last_version, each.position, each.commit_id) for each in commits[-1:]]
        return ends == [(version, position, commit_id)] and sum(len(each.events) for each in commits) == version

    async def last_version(self, stream_id: PostId) -> int:
        tail = await self.stream_tail(stream_id)
        return tail.version if tail else 0

    async def find_commit(self, commit_id: str) -> Commit | None:
        return self._log.by_commit_id.get(commit_id)

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            self._log.receipts.setdefault(receipt.commit_id, receipt)

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        return self._log.receipts.get(commit_id)

    def _append_one(self, commit: ProposedCommit) -> AppendOutcome:
        stored = self._log.by_commit_id.get(commit.commit_id)
        if stored is not None:
            return AlreadyStored(stored)
        last = self._log.last_of(commit.stream_id)
        if commit.version != (last.last_version if last else 0) + 1:
            return VersionTaken()
        return Appended(self._log.add(commit).position)


class MemoryCommitLog:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def log_id(self) -> str:
        return self._log.log_id

    async def tip(self) -> int:
        return self._log.tip

    async def proven_tip(self) -> int:
        return self._log.tip

    async def count(self, after: int, until: int) -> int:
        return max(0, min(until, self._log.tip) - max(after, 0))

    async def rough_count(self) -> int | None:
        return self._log.tip

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        return self._log.page(after, limit)

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        return [_events_of(commit) for commit in self._log.page(after, limit)]

    async def read_shard(self, after: int, until: int, shard: Shard) -> list[CommitEvents]:
        commits = self._log.page(after, until - after)
        return [_events_of(commit) for commit in commits if Shard.of(commit.stream_id, shard.shards) == shard]

    async def visit(self, after: int, until: int, visitor: CommitVisitor) -> None:
        while page := self._log.page(after, until - after):
            for commit in page:
                visitor.visit(commit)
            after = page[-1].position

    async def wait(self, after: int, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._log.tip <= after:
                    await self._log.woken()


def _events_of(commit: Commit) -> CommitEvents:
    return CommitEvents(commit.position, commit.stream_id, commit.version, commit.commit_id, commit.events)


class MemoryRelayState:
    """The store's clock is the process's monotonic one."""

    def __init__(self, log: MemoryLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._relay = log.relay
        self._monotonic = monotonic

    async def acquire(self, owner: str, ttl_seconds: float) -> Lease | None:
        relay = self._relay
        if relay.is_valid(self._monotonic()) and relay.owner != owner:
            return None
        relay.owner = owner
        relay.token += 1
        relay.ends_at = self._monotonic() + ttl_seconds
        return Lease(owner=owner, token=relay.token, position=relay.position, ttl_seconds=ttl_seconds)

    async def renew(self, lease: Lease) -> bool:
        if not self._relay.belongs_to(lease):
            return False
        self._relay.ends_at = self._monotonic() + lease.ttl_seconds
        return True

    async def advance(self, lease: Lease, position: int) -> bool:
        if not self._relay.belongs_to(lease):
            return False
        self._relay.position = max(self._relay.position, position)
        return True

    async def set_back(self, lease: Lease, position: int) -> bool:
        if not self._relay.belongs_to(lease):
            return False
        self._relay.position = min(self._relay.position, position)
        return True

    async def release(self, lease: Lease) -> None:
        if self._relay.belongs_to(lease):
            self._relay.owner = None

    async def state(self) -> RelayStatus | None:
        relay = self._relay
        if relay.token == 0:
            return None
        owner = relay.owner if relay.is_valid(self._monotonic()) else None
        return RelayStatus(owner=owner, token=relay.token, position=relay.position)


class MemorySnapshots:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def load(self, stream_id: PostId, name: str = "") -> Snapshot | None:
        return self._log.snapshots.get(snapshot_key(stream_id, name))

    async def store(self, snapshot: Snapshot) -> None:
        stored = self._log.snapshots.get(snapshot.key)
        if stored is None or stored.version <= snapshot.version:
            self._log.snapshots[snapshot.key] = snapshot
