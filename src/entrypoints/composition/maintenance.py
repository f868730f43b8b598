"""Rebuild, audit and repair of the selected read database."""

from application.maintenance.audit import Audit
from application.maintenance.batches import Batches
from application.maintenance.continuous_audit import ContinuousAudit
from application.maintenance.rebuild import Rebuild
from application.maintenance.repair import Repair
from application.ports.event_codec import EventCodec
from application.ports.system import Clock, Metrics
from entrypoints.composition.event_store import LogParts
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.settings.model import Audit as AuditSettings
from entrypoints.settings.model import Rebuild as RebuildSettings


def rebuild(
    *,
    log: LogParts,
    read_db: ReadDbParts,
    codec: EventCodec,
    clock: Clock,
    metrics: Metrics,
    settings: RebuildSettings,
    batches: Batches | None = None,
) -> Rebuild:
    return Rebuild(
        log=log.commit_log,
        store=read_db.projection_store,
        generations=read_db.generations,
        codec=codec,
        clock=clock,
        metrics=metrics,
        batch_events=settings.batch_events,
        batches=batches,
    )


def audit(log: LogParts, read_db: ReadDbParts, codec: EventCodec) -> Audit:
    return Audit(rows=read_db.audit_rows, log=log.commit_log, past_events=log.past_events, codec=codec)


def continuous_audit(
    *, audit: Audit, log: LogParts, read_db: ReadDbParts, clock: Clock, metrics: Metrics, settings: AuditSettings
) -> ContinuousAudit:
    return ContinuousAudit(
        audit=audit,
        rows=read_db.audit_rows,
        store=read_db.projection_store,
        log=log.commit_log,
        clock=clock,
        metrics=metrics,
        commits_per_second=settings.commits_per_second,
    )


def repair(log: LogParts, read_db: ReadDbParts, codec: EventCodec) -> Repair:
    return Repair(store=read_db.projection_store, past_events=log.past_events, codec=codec)
