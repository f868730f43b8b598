"""Processes that run until they are stopped: command side, query side, projector, relay, auditor, alone or together."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Literal

from litestar import Litestar

from application.maintenance.rebuilds import Rebuilds
from application.ports.provisioning import Probe
from entrypoints.composition.container import PROBE_SECONDS, Container, container_for
from entrypoints.composition.monitoring import HealthLogger, LoopStalls, measure_disks
from entrypoints.composition.operations import open_operations, open_rebuilds
from entrypoints.composition.resources import Resources
from entrypoints.http.app import create_app
from entrypoints.http.problems import Pages
from entrypoints.http.server import TlsFiles, serve
from entrypoints.observability import configure_logging
from entrypoints.serving.cross_origin import CrossOriginPolicy
from entrypoints.settings.leaves import listed
from entrypoints.settings.loading import LoadedSettings, named_read_dbs, refuse_memory, require_authentication
from entrypoints.settings.model import Tls
from entrypoints.worker import FailureProbe, Part, ProcessRoles, endless, run_parts, stop_on_signals

_SECONDS_BEFORE_EXAMINATION = 3.0

Announce = Callable[[str], None]
"""Called with the address once the process listens there: `http://127.0.0.1:8000`."""

logger = logging.getLogger(__name__)


async def run_service(loaded: LoadedSettings, verb: str, roles: ProcessRoles, announce: Announce) -> None:
    """Until a signal comes. Raises what ends the service otherwise."""
    if verb != "run":
        refuse_memory(loaded, verb)
    if _is_api(roles):
        require_authentication(loaded)
    configure_logging(loaded.settings.log)
    container = container_for(loaded.settings, process=verb)
    with stop_on_signals() as stopping:
        async with Resources(container) as resources:
            probes, helpful = await _open(container, resources, roles)
            projector = FailureProbe("projector") if roles.commands or roles.queries else None
            if roles.projector and projector is not None:
                probes.append(projector)
            operated = roles.queries and loaded.settings.http.operations
            targets = named_read_dbs(loaded)
            rebuilds = await open_rebuilds(container, resources, targets) if operated else None
            pages = await _pages(container, resources, roles, rebuilds, stopping)
            parts = {
                "HTTP server": _http_server(container, roles, probes, rebuilds, pages, stopping, announce),
                "health logger": endless(HealthLogger(probes, PROBE_SECONDS, container.metrics(), helpful).run),
                "monitor of the event loop": endless(LoopStalls(container.metrics()).run),
                "monitor of the disks": endless(partial(measure_disks, _disks(container, roles))),
            }
            if _is_api(roles) and not loaded.settings.http.metrics:
                parts["metrics server"] = _metrics_server(container, probes, stopping)
            if pages is not None:
                parts["pipeline sampler"] = endless(container.pipeline_sampler().run)
            if roles.commands and (examine := container.log().examine) is not None:
                parts["integrity of the log"] = endless(partial(_examined_once, examine))
            if roles.projector:
                parts["projector"] = endless(container.follower().run, projector)
                parts["lag of the rows"] = endless(container.rows_lag().run)
            if roles.auditor:
                parts["audit"] = endless(container.continuous_audit().run)
            if roles.relay and (relay := container.relay()) is not None:
                parts["relay"] = endless(relay.run)
                parts["lag of the bus"] = endless(container.bus_lag().run)
            await run_parts(parts, stopping)


def _is_api(roles: ProcessRoles) -> bool:
    """Else it is a worker."""
    return roles.commands or roles.queries


async def _examined_once(examine: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """After the start, which the examination should not slow down."""
    await asyncio.sleep(_SECONDS_BEFORE_EXAMINATION)
    await examine()
    await asyncio.Event().wait()


async def _open(container: Container, resources: Resources, roles: ProcessRoles) -> tuple[list[Probe], list[Probe]]:
    """Opens what these roles need. Returns the probes on which readiness depends, and those of dependencies that these
    roles can do without for a while, which are logged only."""
    log = await resources.open_log()
    needed: list[Probe | None] = []
    helpful: list[Probe | None] = []
    if roles.commands or roles.projector or roles.relay or roles.auditor:
        needed += [log.probe, container.positions_probe()]
    else:
        helpful.append(log.probe)  # queries read the rows also while the log is away
    if roles.commands:
        await resources.open_commands()
    if roles.queries or roles.projector or roles.auditor:
        read_db = await resources.open_read_db()
        needed.append(read_db.writing_probe if roles.projector else read_db.probe)
        if roles.queries:
            needed.append(container.rows_ready())
    if (roles.projector or roles.relay) and (bus := container.bus()) is not None:
        needed.append(bus.group_probe if roles.projector else bus.probe)
        if roles.relay:
            await resources.open_publisher(bus)
        if roles.projector:
            await resources.open_subscription(bus)
    return [probe for probe in needed if probe is not None], [probe for probe in helpful if probe is not None]


def _disks(container: Container, roles: ProcessRoles) -> list[Probe]:
    """Those of the files that these roles use."""
    uses_rows = roles.queries or roles.projector or roles.auditor
    found = [container.log().disk, container.read_db().disk if uses_rows else None]
    return [disk for disk in found if disk is not None]


def _http_server(
    container: Container,
    roles: ProcessRoles,
    probes: list[Probe],
    rebuilds: Rebuilds | None,
    pages: Pages | None,
    stopping: asyncio.Event,
    announce: Announce,
) -> Part:
    name: Literal["http", "worker"] = "http" if _is_api(roles) else "worker"
    services = container.http_services(
        commands=container.command_dispatcher() if roles.commands else None,
        queries=container.query_dispatcher() if roles.queries else None,
        probes=probes,
        stopping=stopping,
        rebuilds=rebuilds,
        has_metrics=name == "worker" or container.settings().http.metrics,
        cross_origin=_cross_origin(container, name),
    )
    return _listening(container, create_app(services, pages), name, announce)


def _metrics_server(container: Container, probes: list[Probe], stopping: asyncio.Event) -> Part:
    """Health and metrics of a process whose HTTP server does not serve its metrics."""
    services = container.http_services(
        commands=None,
        queries=None,
        probes=probes,
        stopping=stopping,
        has_metrics=True,
        cross_origin=_cross_origin(container, "worker"),
    )
    announce = partial(logger.info, "health and metrics at %s")
    return _listening(container, create_app(services), "worker", announce)


def _cross_origin(container: Container, name: Literal["http", "worker"]) -> CrossOriginPolicy:
    settings = container.settings()
    policy: CrossOriginPolicy = container.cross_origin(
        [getattr(settings, name).host, *listed(settings.http.allowed_hosts)]
    )
    return policy


def _listening(container: Container, app: Litestar, name: Literal["http", "worker"], announce: Announce) -> Part:
    listens = getattr(container.settings(), name)

    def part(stopping: asyncio.Event) -> Coroutine[Any, Any, None]:
        return serve(
            app,
            listens.host,
            listens.port,
            stopping,
            announce,
            settings=name,
            metrics=container.metrics(),
            tls=_tls_files(listens.tls),
        )

    return part


def _tls_files(tls: Tls) -> TlsFiles | None:
    return None if tls.certificate is None or tls.key is None else TlsFiles(Path(tls.certificate), Path(tls.key))


async def _pages(
    container: Container, resources: Resources, roles: ProcessRoles, rebuilds: Rebuilds | None, stopping: asyncio.Event
) -> Pages | None:
    """Beside the query side, whose rows they show; read-only where another process serves commands."""
    settings = container.settings()
    if not roles.queries or not settings.web.enabled:
        return None
    operations = await resources.enter(open_operations(container, rebuilds)) if rebuilds else None

    commands = container.command_dispatcher() if roles.commands else None
    from entrypoints.web.pages import Pages as WebPages  # only processes that serve pages load Jinja and the pages

    return WebPages(container.web_services(commands=commands, stopping=stopping, operations=operations))
