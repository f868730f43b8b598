"""The simulated log: the log in memory behind a network, with a majority that can lag after a failover.

A commit is visible from the moment at which the majority has it. What a primary had beyond that when it failed is gone:
its callers find an unknown outcome, and nothing stored. A new primary may not know at first how much of its log is
committed: then reads are older, but never older than what the same process has read before.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemoryRelayState, MemorySnapshots
from application.envelopes import Commit, CommitEvents, ProposedCommit, StreamTail
from application.errors import StoreUnavailable
from application.ports.commit_log import CommitVisitor, Shard
from application.ports.event_store import AppendOutcome, Receipt, Snapshot, Unsettled
from application.ports.relay_state import Lease, RelayStatus
from domain.ids import PostId
from simulation.faults import LOG
from simulation.network import Network, now_of
from simulation.virtual_loop import SERVER_CONTEXT

T = TypeVar("T")


@dataclass
class LogServer:
    """`visible_at` has for each position the time from which on it could be read."""

    network: Network
    memory: MemoryLog
    monotonic: Callable[[], float]
    visible_at: list[float] = field(default_factory=list)
    on_append: Callable[[], None] = lambda: None
    on_checkpoint: Callable[[int], None] = lambda _: None
    _lag_until: float = 0.0
    _known_committed: int = 0
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryEventStore(self.memory)
        self.commits = MemoryCommitLog(self.memory)
        self.relay = MemoryRelayState(self.memory, self.monotonic)
        self.snapshots = MemorySnapshots(self.memory)

    @property
    def tip(self) -> int:
        return self.memory.tip

    def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        outcomes = now_of(self.store.append(commits))
        while len(self.visible_at) < self.tip:
            self.visible_at.append(self.monotonic())
        self._wake()
        self.on_append()
        return outcomes

    def fail_over(self, random: Random, seconds: float) -> None:
        """The primary is gone, and so is what the majority did not have."""
        self.network.cut(LOG, away_seconds=min(seconds, random.choice((0.0, 0.1, 1.0))))
        self._known_committed = max(0, self.tip - random.choice((0, 1, 3, 10)))
        self._lag_until = self.monotonic() + seconds + random.choice((0.1, 1.0, 5.0))

    def expire_lease(self) -> None:
        """As if its holder had been silent for so long."""
        self.memory.relay.ends_at = 0.0

    def committed(self, seen: int) -> int:
        """Up to which position a process reads that has seen as much."""
        if self.monotonic() >= self._lag_until:
            return self.tip
        return max(seen, self._known_committed)

    def prove(self) -> int:
        """A majority-committed write: after it the primary knows all that was committed before."""
        self._lag_until = 0.0
        return self.tip

    async def wait(self, after: int) -> None:
        if self.tip <= after:
            woken = asyncio.get_running_loop().create_future()
            self._waiting.append(woken)
            await woken

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        for woken in waiting:
            delay = 0.0 if self.network.faults is None else self.network.random.uniform(0.0, 0.2)
            loop.call_later(delay, _set, woken, context=SERVER_CONTEXT)


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class _Client:
    """`seen` is the newest position that this process may have read."""

    def __init__(self, server: LogServer, seen: "Seen") -> None:
        self._server = server
        self._seen = seen

    def _read(self, read: Callable[[int], T]) -> asyncio.Future[T]:
        """`read` is given the position up to which it sees."""

        def at_server() -> T:
            self._seen.position = self._server.committed(self._seen.position)
            return read(self._seen.position)

        return self._server.network.call(LOG, at_server, StoreUnavailable)

    def _prove(self, operation: Callable[[], T], *, writes: bool = False) -> asyncio.Future[T]:
        """Behind a majority-committed write of its own."""

        def at_server() -> T:
            self._seen.position = self._server.prove()
            return operation()

        return self._server.network.call(LOG, at_server, StoreUnavailable, writes=writes)


@dataclass(slots=True)
class Seen:
    """Shared by the ports of one process."""

    position: int = 0


class SimulatedEventStore(_Client):
    """`EventStore` and `PastEvents`."""

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        network, server = self._server.network, self._server
        plan = network.plan(LOG, writes=True)
        stored: Sequence[ProposedCommit] = commits
        if network.happens("stored in part", LOG):
            stored = commits[: network.random.randrange(len(commits))] if commits else commits
            plan.unknown = True

        def at_server() -> list[AppendOutcome]:
            outcomes = server.append(stored)
            self._seen.position = server.prove()
            return outcomes

        try:
            return await network.send(LOG, at_server, StoreUnavailable, plan)
        except StoreUnavailable as error:
            return [Unsettled(error.message) for _ in commits]

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        memory = self._server.memory
        return await self._read(
            lambda seen: [each for each in memory.stream_page(stream_id, after_version, limit) if each.position <= seen]
        )

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        return await self._prove(lambda: now_of(self._server.store.stream_tail(stream_id)))

    async def holds(self, stream_id: PostId, version: int, position: int, commit_id: str) -> bool:
        """A commit that this process can't see yet is not held."""
        holds = self._server.store.holds
        return await self._read(
            lambda seen: position <= seen and now_of(holds(stream_id, version, position, commit_id))
        )

    async def last_version(self, stream_id: PostId) -> int:
        page = await self.read_stream(stream_id, 0, 1_000_000)
        return page[-1].last_version if page else 0

    async def find_commit(self, commit_id: str) -> Commit | None:
        def look(seen: int) -> Commit | None:
            found = self._server.memory.by_commit_id.get(commit_id)
            return found if found is not None and found.position <= seen else None

        return await self._read(look)

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        await self._prove(lambda: now_of(self._server.store.keep_receipts(receipts)), writes=True)

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        return await self._read(lambda _: now_of(self._server.store.find_receipt(commit_id)))


class SimulatedCommitLog(_Client):
    async def log_id(self) -> str:
        return await self._read(lambda _: self._server.memory.log_id)

    async def tip(self) -> int:
        return await self._read(lambda seen: seen)

    async def proven_tip(self) -> int:
        return await self._prove(lambda: self._server.tip)

    async def count(self, after: int, until: int) -> int:
        return await self._read(lambda seen: max(0, min(until, seen) - max(after, 0)))

    async def rough_count(self) -> int | None:
        return await self._read(lambda seen: seen)

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        memory = self._server.memory
        return await self._read(lambda seen: memory.page(after, max(0, min(limit, seen - after))))

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        read = self._server.commits.read_events
        return await self._read(lambda seen: now_of(read(after, max(0, min(limit, seen - after)))))

    async def read_shard(self, after: int, until: int, shard: Shard) -> list[CommitEvents]:
        read = self._server.commits.read_shard
        return await self._read(lambda seen: now_of(read(after, max(after, min(until, seen)), shard)))

    async def visit(self, after: int, until: int, visitor: CommitVisitor) -> None:
        visit = self._server.commits.visit
        await self._read(lambda seen: now_of(visit(after, max(after, min(until, seen)), visitor)))

    async def wait(self, after: int, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._server.wait(after)


class SimulatedRelayState(_Client):
    """Its clock is the server's."""

    async def acquire(self, owner: str, ttl_seconds: float) -> Lease | None:
        return await self._prove(lambda: now_of(self._server.relay.acquire(owner, ttl_seconds)), writes=True)

    async def renew(self, lease: Lease) -> bool:
        return await self._prove(lambda: now_of(self._server.relay.renew(lease)), writes=True)

    async def advance(self, lease: Lease, position: int) -> bool:
        def at_server() -> bool:
            moved = now_of(self._server.relay.advance(lease, position))
            if moved:
                self._server.on_checkpoint(position)
            return moved

        return await self._prove(at_server, writes=True)

    async def set_back(self, lease: Lease, position: int) -> bool:
        return await self._prove(lambda: now_of(self._server.relay.set_back(lease, position)), writes=True)

    async def release(self, lease: Lease) -> None:
        await self._prove(lambda: now_of(self._server.relay.release(lease)), writes=True)

    async def state(self) -> RelayStatus | None:
        return await self._read(lambda _: now_of(self._server.relay.state()))


class SimulatedSnapshots(_Client):
    async def load(self, stream_id: PostId, name: str = "") -> Snapshot | None:
        return await self._read(lambda _: now_of(self._server.snapshots.load(stream_id, name)))

    async def store(self, snapshot: Snapshot) -> None:
        await self._prove(lambda: now_of(self._server.snapshots.store(snapshot)), writes=True)
