"""What the composition root passes to the HTTP entrypoint."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from application.maintenance.rebuilds import Rebuilds
from application.mediator import CommandDispatcher, QueryDispatcher
from application.ports.provisioning import Probe
from application.ports.system import Clock, Ids, Metrics, Tracer
from domain.limits import Limits
from entrypoints.serving.access import AccessControl
from entrypoints.serving.cross_origin import CrossOriginPolicy
from entrypoints.serving.rate_limit import RateLimiter
from entrypoints.serving.request_context import ServingLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServices:
    """`commands` or `queries` is None when this process does not serve that side; its paths are then unknown.

    `access` admits callers to routes; with None, names in requests are believed. `metrics_text` returns the content of
    `/metrics` and its content type; the path is served if `has_metrics`. `limits` are for the OpenAPI document; the
    domain applies them. `stopping` is set when the process shuts down: open event streams end at once, and readiness
    fails. `operations` enables `/api/v1/read-db`, which needs `queries`, and its `rebuilds`.

    `rate_limiter` counts requests, except those of health and metrics; None: any number is served. A
    `tracer` traces the same ones.

    Open event streams poll for new events every `poll_seconds`, and send a comment after `heartbeat_seconds` of
    silence. A probe that takes longer than `probe_seconds` counts as failed.
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
    access: AccessControl | None = None
    has_metrics: bool = True
    rebuilds: Rebuilds | None = None
    poll_seconds: float = 0.25
    heartbeat_seconds: float = 15.0
    probe_seconds: float = 2.0
    serving: ServingLimits = field(default_factory=ServingLimits)
    cross_origin: CrossOriginPolicy = field(default_factory=CrossOriginPolicy)
    rate_limiter: RateLimiter | None = None
    tracer: Tracer | None = None
