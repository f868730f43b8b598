"""The services that the pages use, passed by the composition root."""

import asyncio
from dataclasses import dataclass

from application.maintenance.audit import AuditRuns
from application.maintenance.doctor import CachedDiagnosis
from application.maintenance.rebuilds import Rebuilds
from application.mediator import CommandDispatcher, QueryDispatcher
from application.pipeline.parking import ParkedPosts
from application.ports.system import Clock, Ids
from application.query_side.pipeline_sampler import PipelineSampler
from domain.limits import Limits
from entrypoints.serving.access import AccessControl


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """For the operations page."""

    diagnosis: CachedDiagnosis
    rebuilds: Rebuilds
    audits: AuditRuns
    parked: ParkedPosts


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """`commands` is None in a process that serves queries only: its pages are read-only. `stopping` is set when the
    process is asked to stop, and ends every open stream. `access` is None where visitors choose the name that they
    write under. `operations` is None if `http.operations` is off. Forms larger than `max_body_bytes` are refused."""

    commands: CommandDispatcher | None
    queries: QueryDispatcher
    clock: Clock
    ids: Ids
    limits: Limits
    stopping: asyncio.Event
    sampler: PipelineSampler
    access: AccessControl | None = None
    operations: Operations | None
    max_body_bytes: int
    poll_seconds: float = 0.25
    heartbeat_seconds: float = 15.0
