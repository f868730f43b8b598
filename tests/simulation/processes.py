"""The processes of a distributed Postlog, put together from the application's own parts on simulated stores.

They are what `entrypoints.composition.container` makes of the same parts; it is not used here: a run starts some twenty
processes, and building one container takes as long as half of the rest.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from adapters.system.rows_moved import LocalRowsMoved
from adapters.wire.event_codec import MsgspecEventCodec
from application.command_side.command_queue import CommandQueue, Decider
from application.command_side.group_commit import GroupCommitter
from application.command_side.post_commands import PostCommands
from application.command_side.stream_state import Snapshotting, StateCache, StateLoader
from application.maintenance.audit import Audit
from application.maintenance.continuous_audit import ContinuousAudit
from application.maintenance.rebuild import Rebuild
from application.maintenance.repair import Repair
from application.pipeline.bus_consumer import BusConsumer
from application.pipeline.log_consumer import LogConsumer
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.pipeline.relay import Relay
from application.ports.system import StepTimes
from application.projections.log_checks import LogGaps
from application.query_side.freshness import Freshness, LogEnd
from application.query_side.posts import PostQueries
from domain.limits import Limits
from simulation.bus_server import BusServer, SimulatedPublisher, SimulatedSubscription
from simulation.log_server import (
    LogServer,
    Seen,
    SimulatedCommitLog,
    SimulatedEventStore,
    SimulatedRelayState,
    SimulatedSnapshots,
)
from simulation.read_db_server import (
    ReadDbServer,
    SimulatedAuditRows,
    SimulatedGenerations,
    SimulatedParkedStreams,
    SimulatedPostViews,
    SimulatedProjectionStore,
)

CODEC = MsgspecEventCodec()
LIMITS = Limits(name=100, message=1_000, comment=1_000)
_START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class MachineClock:
    """Its wall clock may jump; its monotonic one is the virtual time."""

    monotonic_time: Callable[[], float]
    offset: timedelta = field(default_factory=timedelta)

    def jump(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)

    def now(self) -> datetime:
        milliseconds = int(self.monotonic_time() * 1_000)
        return _START + timedelta(milliseconds=milliseconds) + self.offset

    def monotonic(self) -> float:
        return self.monotonic_time()


@dataclass(slots=True)
class SeededIds:
    random: Random

    def new(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))


class QuietMetrics:
    """`differing` is the highest number of posts of which an audit said that they differ."""

    def __init__(self) -> None:
        self.differing = 0.0

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        pass

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        if name == "audit_posts_that_differ":
            self.differing = max(self.differing, value)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        pass


class NoJournal:
    def record_received(self, commit_id: str) -> None:
        pass

    def record_durable(self, first: int, last: int) -> None:
        pass

    def record_published(self, after: int, position: int) -> None:
        pass

    def record_projected(self, partition: int, after: int, position: int) -> None:
        pass

    def times(self, commit_id: str, position: int, partition: int) -> StepTimes:
        return StepTimes(received=None, durable=None, published=None, projected=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Settings, drawn small, so that their limits are met."""

    partitions: int
    uses_bus: bool
    batch_size: int
    batch_events: int
    lease_seconds: float
    watermark_seconds: float
    snapshot_every: int
    cache_entries: int
    attempts: int
    command_seconds: float
    wait_seconds: float
    group: int


def draw_sizes(random: Random) -> Sizes:
    return Sizes(
        partitions=random.randint(1, 4),
        uses_bus=random.random() < 0.7,
        batch_size=random.choice((1, 2, 5, 50)),
        batch_events=random.choice((1, 3, 10, 1_000)),
        lease_seconds=random.choice((0.5, 2.0, 3.0)),
        watermark_seconds=random.choice((0.3, 1.0, 2.0)),
        snapshot_every=random.choice((0, 1, 3, 10)),
        cache_entries=random.choice((1, 3, 100)),
        attempts=random.choice((1, 3, 10)),
        command_seconds=random.choice((1.0, 5.0, 15.0)),
        wait_seconds=random.choice((0.2, 1.0, 5.0)),
        group=random.choice((1, 3, 1_000)),
    )


@dataclass
class Parts:
    """What one process has of the stores, and its own clock and ids."""

    log: LogServer
    read_db: ReadDbServer
    bus: BusServer
    sizes: Sizes
    clock: MachineClock
    ids: SeededIds
    metrics: QuietMetrics

    def __post_init__(self) -> None:
        seen = Seen()
        self.events = SimulatedEventStore(self.log, seen)
        self.commits = SimulatedCommitLog(self.log, seen)
        self.snapshots = SimulatedSnapshots(self.log, seen)
        self.relay_state = SimulatedRelayState(self.log, seen)
        self.store = SimulatedProjectionStore(self.read_db)
        self.parked = SimulatedParkedStreams(self.read_db)
        self.views = SimulatedPostViews(self.read_db)
        self.generations = SimulatedGenerations(self.read_db)
        self.audit_rows = SimulatedAuditRows(self.read_db)
        self.rows_moved = LocalRowsMoved()
        self.journal = NoJournal()

    def commands(self) -> PostCommands:
        snapshotting = Snapshotting(self.snapshots, self.metrics, self.sizes.snapshot_every)
        queue = CommandQueue(
            store=self.events,
            codec=CODEC,
            committer=GroupCommitter(self.events, self.clock, self.metrics, self.journal, self.sizes.group),
            loader=StateLoader(self.events, CODEC, snapshotting),
            cache=StateCache(1_000_000, self.sizes.cache_entries),
            decider=Decider(CODEC, self.clock, LIMITS),
            snapshotting=snapshotting,
            metrics=self.metrics,
            attempts=self.sizes.attempts,
        )
        writable = LogGaps(self.commits).require_none
        return PostCommands(queue, self.ids, self.journal, self.sizes.command_seconds, writable)

    def queries(self) -> PostQueries:
        end = LogEnd(self.commits, self.clock)
        return PostQueries(self.views, Freshness(self.clock, self.rows_moved, end, self.sizes.wait_seconds))

    def relay(self) -> Relay:
        return Relay(
            log=self.commits,
            relay_state=self.relay_state,
            publisher=SimulatedPublisher(self.bus),
            clock=self.clock,
            ids=self.ids,
            metrics=self.metrics,
            journal=self.journal,
            batch_size=self.sizes.batch_size,
            lease_seconds=self.sizes.lease_seconds,
            watermark_seconds=self.sizes.watermark_seconds,
        )

    def projector(self) -> Projector:
        return Projector(
            store=self.store,
            log=self.commits,
            past_events=self.events,
            codec=CODEC,
            clock=self.clock,
            metrics=self.metrics,
            rows_moved=self.rows_moved,
            journal=self.journal,
        )

    def parked_retry(self) -> ParkedRetry:
        return ParkedRetry(
            store=self.store,
            parked_streams=self.parked,
            log=self.commits,
            past_events=self.events,
            codec=CODEC,
            clock=self.clock,
            metrics=self.metrics,
            rows_moved=self.rows_moved,
            repair=self.repair().repair,
        )

    def repair(self) -> Repair:
        return Repair(store=self.store, log=self.commits, past_events=self.events, codec=CODEC)

    def bus_consumer(self, subscription: SimulatedSubscription) -> BusConsumer:
        return BusConsumer(
            projector=self.projector(),
            parked=self.parked_retry(),
            log=self.commits,
            subscription=subscription,
            metrics=self.metrics,
            batch_size=self.sizes.batch_size,
        )

    def log_consumer(self) -> LogConsumer:
        return LogConsumer(self.projector(), self.parked_retry(), self.commits, self.metrics, self.sizes.batch_size)

    def rebuild(self, retry_parked: Callable[[], Awaitable[object]] | None = None) -> Rebuild:
        return Rebuild(
            log=self.commits,
            store=self.store,
            generations=self.generations,
            codec=CODEC,
            clock=self.clock,
            batch_events=self.sizes.batch_events,
            retry_parked=retry_parked or self.parked_retry().retry_all,
        )

    def audit(self) -> Audit:
        return Audit(
            rows=self.audit_rows,
            log=self.commits,
            past_events=self.events,
            codec=CODEC,
            seed=self.ids.random.getrandbits(32),
        )

    def continuous_audit(self) -> ContinuousAudit:
        return ContinuousAudit(
            audit=self.audit(),
            rows=self.audit_rows,
            store=self.store,
            log=self.commits,
            clock=self.clock,
            metrics=self.metrics,
            commits_per_second=5,
        )
