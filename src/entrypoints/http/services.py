"""What the HTTP entrypoint is given by the composition root."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from application.maintenance.rebuilds import Rebuilds
from application.mediator import CommandDispatcher, QueryDispatcher
from application.ports.provisioning import Probe
from application.ports.system import Clock, Ids, Metrics
from domain.limits import Limits
from entrypoints.serving.request_context import ServingLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServices:
    """`commands` or `queries` is None when this process does not serve that side; its paths are then unknown.

    `metrics_text` gives what `/metrics` answers, and its content type. `limits` are only told to readers of the OpenAPI
    document; the domain applies them. `stopping` is set when the process is asked to end: open event streams end at
    once, readiness turns red. `operations` switches `/api/v1/read-db`, which needs `queries`, and
    its `rebuilds`.

    An open event stream looks for new events every `poll_seconds`, and says after `heartbeat_seconds` of silence that
    it is alive. A probe that takes longer than `probe_seconds` counts as failed.
    """

    commands: CommandDispatcher | None
    queries: QueryDispatcher | None
    clock: Clock
    ids: Ids
    limits: Limits
    metrics: Metrics
    metrics_text: Callable[[], tuple[bytes, str]]
    probes: Sequence[Probe]
    stopping: asyncio.Event
    operations: bool
    max_body_bytes: int
    rebuilds: Rebuilds | None = None
    poll_seconds: float = 0.25
    heartbeat_seconds: float = 15.0
    probe_seconds: float = 2.0
    serving: ServingLimits = field(default_factory=ServingLimits)
