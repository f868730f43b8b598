"""What the pages are given by the composition root."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """What operators watch and start."""

    diagnosis: CachedDiagnosis
    rebuilds: Rebuilds
    audits: AuditRuns
    parked: ParkedPosts


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """`commands` is None in a process that serves queries alone: its pages are for reading only. `stopping` is set when
    the process is asked to end, and ends every open stream. `operations` is None where `http.operations` switches them
    off. A form of more than `max_body_bytes` is refused."""

    commands: CommandDispatcher | None
    queries: QueryDispatcher
    clock: Clock
    ids: Ids
    limits: Limits
    stopping: asyncio.Event
    watch: PipelineSampler
    operations: Operations | None
    max_body_bytes: int
    poll_seconds: float = 0.25
    heartbeat_seconds: float = 15.0
