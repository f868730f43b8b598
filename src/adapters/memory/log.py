"""A log in this process's memory: gone when the process ends. For tests, and for trying Postlog out."""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import uuid4

from adapters.wire.commit_json import events_to_json
from application.envelopes import Commit, ProposedCommit
from application.ports.event_store import Receipt, Snapshot
from application.ports.relay_state import Lease
from domain.ids import PostId

_PAGE_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """`size` is that of the events' JSON, in bytes."""

    commit: Commit
    size: int


@dataclass(slots=True)
class RelayRecord:
    """Of the last lease that was granted; token 0 before the first. `ends_at` is a monotonic time in seconds; a lease
    that was released has no owner."""

    owner: str | None = None
    token: int = 0
    position: int = 0
    ends_at: float = 0.0

    def stands(self, now: float) -> bool:
        return self.owner is not None and now < self.ends_at

    def belongs_to(self, lease: Lease) -> bool:
        return self.owner is not None and self.token == lease.token


class MemoryLog:
    """What the adapters of this folder share. Belongs to one event loop."""

    def __init__(self) -> None:
        self.log_id = str(uuid4())
        self.snapshots: dict[PostId, Snapshot] = {}
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
        """At the next position; the caller has checked version and commit id."""
        commit = Commit(
            position=self.tip + 1,
            stream_id=proposed.stream_id,
            version=proposed.version,
            commit_id=proposed.commit_id,
            recorded_at=proposed.recorded_at,
            metadata=proposed.metadata,
            events=proposed.events,
        )
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
        first = bisect_right(stream, after_version, key=lambda entry: entry.commit.last_version)
        return _page(stream, first, limit)

    def wake(self) -> None:
        """Tell everybody who waits that there is more."""
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
