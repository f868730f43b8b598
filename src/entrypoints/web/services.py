"""What the pages are given by the composition root."""

import asyncio
from dataclasses import dataclass

from application.maintenance.rebuilds import Rebuilds
from application.mediator import CommandDispatcher, QueryDispatcher
from application.ports.clock import Clock
from application.ports.ids import Ids
from domain.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """`commands` is None in a process that serves queries alone: its pages are for reading only. `stopping` is set when
    the process is asked to end, and ends every open stream. `operations` is the setting `http.operations`;
    `rebuilds` is None without it. A form of more than `max_body_bytes` is refused."""

    commands: CommandDispatcher | None
    queries: QueryDispatcher
    clock: Clock
    ids: Ids
    limits: Limits
    stopping: asyncio.Event
    operations: bool
    max_body_bytes: int
    rebuilds: Rebuilds | None = None
    poll_seconds: float = 0.25
    heartbeat_seconds: float = 15.0
