"""What runs until it is stopped: the command side, the query side, the projector, alone or together in one process."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from application.maintenance.rebuilds import Rebuilds
from application.ports.provisioning import Probe
from application.projections.log_checks import PositionsProbe
from application.query_side.status import RowsReady
from domain.limits import Limits
from entrypoints.composition.container import Container, container_for
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.sides import Sides
from entrypoints.composition.watching import LoopStalls, Watch
from entrypoints.observability import configure_logging
from entrypoints.settings.loading import LoadedSettings, named_read_dbs, refuse_memory
from entrypoints.settings.model import Settings
from entrypoints.worker import FailureProbe, Part, endless, run_parts, stop_on_signals

if TYPE_CHECKING:
    from entrypoints.http.problems import Pages
    from entrypoints.http.services import HttpServices
    from entrypoints.web.pages import Site
    from entrypoints.web.services import Operations

PROBE_SECONDS = 6.0
"""A little more than probes take themselves, whose sentences say more."""

_SECONDS_BEFORE_EXAMINATION = 3.0

Announce = Callable[[str], None]
"""Is handed the address once requests are answered there: `http://127.0.0.1:8000`."""


async def run_service(loaded: LoadedSettings, verb: str, sides: Sides, announce: Announce) -> None:
    """Until a signal comes. Raises what ends a service that nobody stopped."""
    if verb != "run":
        refuse_memory(loaded.settings, loaded.sources, verb)
    configure_logging(loaded.settings.log)
    container = container_for(loaded.settings)
    with stop_on_signals() as stopping:
        async with Lifetime(container) as lifetime:
            probes, helpful = await _open(container, lifetime, sides)
            projector = FailureProbe("projector") if sides.commands or sides.queries else None
            if sides.projector and projector is not None:
                probes.append(projector)
            operated = sides.queries and loaded.settings.http.operations
            targets = named_read_dbs(loaded.settings, loaded.sources)
            rebuilds = await lifetime.open_rebuilds(targets) if operated else None
            pages = await _pages(container, lifetime, sides, rebuilds, stopping)
            parts = {
                "HTTP server": _http_server(container, sides, probes, rebuilds, pages, stopping, announce),
                "watch": endless(Watch(probes, PROBE_SECONDS, helpful).run),
                "watch of the event loop": endless(LoopStalls(container.metrics()).run),
            }
            if pages is not None:
                parts["watch of the pipeline"] = endless(container.pipeline_sampler().run)
            if sides.commands and (examine := container.log().examine) is not None:
                parts["integrity of the log"] = endless(partial(_examined_once, examine))
            if sides.projector:
                parts["projector"] = endless(container.follower().run, projector)
                parts["lag of the rows"] = endless(container.rows_lag().run)
            if sides.auditor:
                parts["audit"] = endless(container.continuous_audit().run)
            if sides.relay and (relay := container.relay()) is not None:
                parts["relay"] = endless(relay.run)
                parts["lag of the bus"] = endless(container.bus_lag().run)
            await run_parts(parts, stopping)


async def _examined_once(examine: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """After the start, which it should not slow down."""
    await asyncio.sleep(_SECONDS_BEFORE_EXAMINATION)
    await examine()
    await asyncio.Event().wait()


async def _open(container: Container, lifetime: Lifetime, sides: Sides) -> tuple[list[Probe], list[Probe]]:
    """What these sides need: the probes that tell whether it answers, on which readiness depends; and those of what
    they can do without for a while, which are watched only."""
    log = await lifetime.open_log()
    needed: list[Probe | None] = []
    helpful: list[Probe | None] = []
    if sides.commands or sides.projector or sides.relay or sides.auditor:
        needed += [log.probe, PositionsProbe(log.gaps)]
    else:
        helpful.append(log.probe)  # queries are answered from the rows while the log is away
    if sides.commands:
        await lifetime.open_commands()
    if sides.queries or sides.projector or sides.auditor:
        read_db = await lifetime.open_read_db()
        needed.append(read_db.writing_probe if sides.projector else read_db.probe)
        if sides.queries:
            needed.append(RowsReady(read_db.post_views))
    if (sides.projector or sides.relay) and (bus := container.bus()) is not None:
        needed.append(bus.group_probe if sides.projector else bus.probe)
        if sides.relay:
            await lifetime.open_publisher(bus)
        if sides.projector:
            await lifetime.open_subscription(bus)
    return [probe for probe in needed if probe is not None], [probe for probe in helpful if probe is not None]


def _http_server(
    container: Container,
    sides: Sides,
    probes: list[Probe],
    rebuilds: Rebuilds | None,
    pages: "Pages | None",
    stopping: asyncio.Event,
    announce: Announce,
) -> Part:
    from entrypoints.http.app import create_app
    from entrypoints.http.server import serve

    settings = container.settings()
    name: Literal["http", "worker"] = "http" if sides.commands or sides.queries else "worker"
    listens = settings.http if name == "http" else settings.worker
    app = create_app(_http_services(container, sides, probes, rebuilds, stopping), pages)

    def part(stopping: asyncio.Event) -> Coroutine[Any, Any, None]:
        return serve(app, listens.host, listens.port, stopping, announce, settings=name, metrics=container.metrics())

    return part


def _http_services(
    container: Container, sides: Sides, probes: list[Probe], rebuilds: Rebuilds | None, stopping: asyncio.Event
) -> "HttpServices":
    from entrypoints.http.services import HttpServices
    from entrypoints.serving.request_context import ServingLimits

    settings = container.settings()
    metrics = container.metrics()
    return HttpServices(
        commands=container.command_dispatcher() if sides.commands else None,
        queries=container.query_dispatcher() if sides.queries else None,
        clock=container.clock(),
        ids=container.ids(),
        limits=_limits(settings),
        metrics=metrics,
        metrics_text=metrics.text,
        probes=probes,
        stopping=stopping,
        operations=settings.http.operations,
        max_body_bytes=settings.http.max_body_bytes,
        rebuilds=rebuilds,
        probe_seconds=PROBE_SECONDS,
        serving=ServingLimits(
            max_connections=settings.http.max_connections,
            max_streams=min(settings.http.max_streams, settings.http.max_connections // 2),
            client_seconds=settings.http.client_timeout_seconds,
        ),
    )


async def _pages(
    container: Container, lifetime: Lifetime, sides: Sides, rebuilds: Rebuilds | None, stopping: asyncio.Event
) -> "Pages | None":
    """Beside the query side, whose rows they show; for reading only where commands are served by another process."""
    settings = container.settings()
    if not sides.queries or not settings.web.enabled:
        return None
    from entrypoints.web.on_demand import PagesOnDemand

    operations = await lifetime.open_operations(rebuilds) if rebuilds else None
    return PagesOnDemand(lambda: _site(container, sides, operations, stopping))


def _site(container: Container, sides: Sides, operations: "Operations | None", stopping: asyncio.Event) -> "Site":
    from entrypoints.web.pages import Site
    from entrypoints.web.services import WebServices

    settings = container.settings()
    return Site(
        WebServices(
            commands=container.command_dispatcher() if sides.commands else None,
            queries=container.query_dispatcher(),
            clock=container.clock(),
            ids=container.ids(),
            limits=_limits(settings),
            stopping=stopping,
            watch=container.pipeline_sampler(),
            operations=operations,
            max_body_bytes=settings.http.max_body_bytes,
        )
    )


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(name=limits.name, message=limits.message, comment=limits.comment)
