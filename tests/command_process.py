"""A command side as one process has it, on any event store; several on one store are several processes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.system.journal import LocalJournal
from adapters.wire.event_codec import MsgspecEventCodec
from application.command_side.command_queue import CommandQueue, Decider
from application.command_side.group_commit import GroupCommitter
from application.command_side.post_commands import PostCommands
from application.command_side.stream_state import Snapshotting, StateCache, StateLoader
from application.envelopes import Commit
from application.mediator import CommandContext, IdempotencyKey
from application.ports.event_store import EventStore, Snapshots
from application.ports.system import Journal
from domain.limits import Limits

CODEC = MsgspecEventCodec()


class SteppingClock:
    """Each look at it is a millisecond later; `monotonic` follows."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    def monotonic(self) -> float:
        return self.now().timestamp()


class CountingIds:
    """…-000000000001, …-000000000002, …; `series` keeps the ids of several processes apart."""

    def __init__(self, series: int = 0) -> None:
        self._prefix = f"0198c0de-0000-7000-{0x8000 + series:04x}"
        self._last = 0

    def new(self) -> str:
        self._last += 1
        return f"{self._prefix}-{self._last:012x}"


class RecordedMetrics:
    def __init__(self) -> None:
        self.counts: dict[str, float] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        self.counts[name] = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1


class CommandProcess:
    """`commands` is what its HTTP side would dispatch to."""

    def __init__(
        self,
        store: EventStore,
        snapshots: Snapshots,
        *,
        series: int = 0,
        every: int = 0,
        attempts: int = 10,
        journal: Journal | None = None,
        cache_bytes: int = 10_000_000,
        timeout: float = 10.0,
        require_writable: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.metrics = RecordedMetrics()
        self.journal = journal or LocalJournal()
        clock = SteppingClock()
        snapshotting = Snapshotting(snapshots, self.metrics, every)
        self.queue = CommandQueue(
            store=store,
            codec=CODEC,
            committer=GroupCommitter(store, clock, self.metrics, self.journal),
            loader=StateLoader(store, CODEC, snapshotting),
            cache=StateCache(cache_bytes, max_states=10_000),
            decider=Decider(CODEC, clock, Limits()),
            snapshotting=snapshotting,
            metrics=self.metrics,
            attempts=attempts,
        )
        gate = {"require_writable": require_writable} if require_writable else {}
        self.commands = PostCommands(self.queue, CountingIds(series), self.journal, timeout=timeout, **gate)


def keyed(key: str, digest: str = "digest", expected_version: int | None = None) -> CommandContext:
    return CommandContext(idempotency_key=IdempotencyKey(key, digest), expected_version=expected_version)


def expecting(version: int) -> CommandContext:
    return CommandContext(expected_version=version)


ANYBODY = CommandContext()


def stored_types(commits: Sequence[Commit]) -> list[str]:
    return [event.type for commit in commits for event in commit.events]


def stored_data(commits: Sequence[Commit]) -> list[Mapping[str, Any]]:
    return [event.data for commit in commits for event in commit.events]
