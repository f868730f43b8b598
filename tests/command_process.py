"""A command side as one process has it, on any event store; several on one store are several processes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from adapters.system.journal import LocalJournal
from adapters.wire.event_codec import MsgspecEventCodec
from application.command_side.stream_state import StateCache
from application.envelopes import Commit
from application.mediator import CommandContext, IdempotencyKey
from application.ports.event_store import EventStore, Snapshots
from application.ports.system import Journal
from containers import IN_MEMORY, container_with
from entrypoints.settings.model import Commands as CommandSettings
from entrypoints.settings.model import Snapshots as SnapshotSettings

CODEC = MsgspecEventCodec()


class SteppingClock:
    """Each call returns a time one millisecond later; `monotonic` follows."""

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
        settings = replace(
            IN_MEMORY,
            commands=CommandSettings(timeout_seconds=timeout, attempts=attempts),
            snapshots=SnapshotSettings(every=every),
        )
        self.container = container_with(
            settings,
            event_store=store,
            snapshots=snapshots,
            clock=SteppingClock(),
            ids=CountingIds(series),
            metrics=self.metrics,
            journal=self.journal,
            state_cache=StateCache(cache_bytes, 10_000),
            **({"require_writable": require_writable} if require_writable else {}),
        )
        self.queue = self.container.command_queue()
        self.commands = self.container.commands()


def keyed(key: str, digest: str = "digest", expected_version: int | None = None) -> CommandContext:
    return CommandContext(idempotency_key=IdempotencyKey(key, digest), expected_version=expected_version)


def expecting(version: int) -> CommandContext:
    return CommandContext(expected_version=version)


ANYBODY = CommandContext()


def stored_types(commits: Sequence[Commit]) -> list[str]:
    return [event.type for commit in commits for event in commit.events]


def stored_data(commits: Sequence[Commit]) -> list[Mapping[str, Any]]:
    return [event.data for commit in commits for event in commit.events]
