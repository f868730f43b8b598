"""What keeps the rows up to date: relay and projector. What only a bus needs is imported only where there is one."""

from typing import TYPE_CHECKING, Union

from application.maintenance.repair import Repair
from application.pipeline.follow_log import LogFollower
from application.pipeline.lag import BusLag, RowsLag
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.ports.event_codec import EventCodec
from application.ports.system import Clock, Ids, Journal, Metrics, RowsMoved
from entrypoints.composition.bus import BusParts
from entrypoints.composition.event_store import LogParts
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.settings.model import Projector as ProjectorSettings
from entrypoints.settings.model import Relay as RelaySettings

if TYPE_CHECKING:
    from application.pipeline.follow_bus import BusFollower
    from application.pipeline.relay import Relay

Follower = Union[LogFollower, "BusFollower"]


def projector(
    *,
    log: LogParts,
    read_db: ReadDbParts,
    codec: EventCodec,
    clock: Clock,
    metrics: Metrics,
    rows_moved: RowsMoved,
    journal: Journal,
) -> Projector:
    return Projector(
        store=read_db.projection_store,
        log=log.commit_log,
        past_events=log.past_events,
        codec=codec,
        clock=clock,
        metrics=metrics,
        rows_moved=rows_moved,
        journal=journal,
    )


def parked_retry(
    *, log: LogParts, read_db: ReadDbParts, codec: EventCodec, clock: Clock, metrics: Metrics, rows_moved: RowsMoved
) -> ParkedRetry:
    return ParkedRetry(
        store=read_db.projection_store,
        parked_streams=read_db.parked_streams,
        log=log.commit_log,
        past_events=log.past_events,
        codec=codec,
        clock=clock,
        metrics=metrics,
        rows_moved=rows_moved,
        repair=Repair(store=read_db.projection_store, past_events=log.past_events, codec=codec).repair,
    )


def follower(
    *,
    log: LogParts,
    bus: BusParts | None,
    projector: Projector,
    parked: ParkedRetry,
    metrics: Metrics,
    settings: ProjectorSettings,
) -> Follower:
    """Where there is no bus, projectors follow the log itself."""
    if bus is None:
        return LogFollower(projector, parked, log.commit_log, metrics, settings.batch_size)
    from application.pipeline.follow_bus import BusFollower

    return BusFollower(
        projector=projector,
        parked=parked,
        log=log.commit_log,
        subscription=bus.subscription,
        metrics=metrics,
        batch_size=settings.batch_size,
    )


def relay(
    *,
    log: LogParts,
    bus: BusParts | None,
    clock: Clock,
    ids: Ids,
    metrics: Metrics,
    journal: Journal,
    settings: RelaySettings,
) -> "Relay | None":
    """None where there is no bus to publish to."""
    if bus is None:
        return None
    from application.pipeline.relay import Relay

    return Relay(
        log=log.commit_log,
        relay_state=log.relay_state,
        publisher=bus.publisher,
        clock=clock,
        ids=ids,
        metrics=metrics,
        journal=journal,
        batch_size=settings.batch_size,
        lease_seconds=settings.lease_seconds,
        watermark_seconds=settings.watermark_seconds,
    )


def rows_lag(*, log: LogParts, read_db: ReadDbParts, clock: Clock, metrics: Metrics) -> RowsLag:
    return RowsLag(read_db.post_views, log.commit_log, clock, metrics)


def bus_lag(*, log: LogParts, metrics: Metrics) -> BusLag:
    return BusLag(log.relay_state, log.commit_log, metrics)
