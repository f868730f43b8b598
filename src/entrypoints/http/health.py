"""Health and metrics: is the process alive, can it serve requests, what has it counted?"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.ports.provisioning import Probe, ProbeResult
from entrypoints.http.schemas import Check, Live, Ready
from entrypoints.http.services import HttpServices
from entrypoints.serving.responses import RawResponse, json_response
from entrypoints.serving.routing import get_and_head

_UNCACHED = (b"cache-control", b"no-store")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HealthEndpoints:
    services: HttpServices

    def handlers(self) -> list[HTTPRouteHandler]:
        found = [get_and_head("/health/live")(self.live), get_and_head("/health/ready")(self.ready)]
        return [*found, get_and_head("/metrics")(self.metrics)] if self.services.has_metrics else found

    async def live(self) -> ASGIApp:
        return json_response(200, Live(status="live"), [_UNCACHED])

    async def ready(self) -> ASGIApp:
        checks = await run_probes(self.services.probes, self.services.probe_seconds)
        stopping = self.services.stopping.is_set()
        is_ready = not stopping and all(check.ok for check in checks)
        status = "ready" if is_ready else "stopping" if stopping else "not-ready"
        content = Ready(status=status, checks=[Check(name=c.name, ok=c.ok, detail=c.detail) for c in checks])
        retry = [] if is_ready else [(b"retry-after", b"1")]
        return json_response(200 if is_ready else 503, content, [_UNCACHED, *retry])

    async def metrics(self) -> ASGIApp:
        text, content_type = self.services.metrics_text()
        return RawResponse(200, [(b"content-type", content_type.encode("ascii")), _UNCACHED], text)


async def run_probes(probes: Sequence[Probe], seconds: float) -> list[ProbeResult]:
    """Concurrently, in the order given; a probe that takes longer than `seconds`, or raises, counts as failed."""
    return list(await asyncio.gather(*(_run(probe, seconds) for probe in probes)))


async def _run(probe: Probe, seconds: float) -> ProbeResult:
    try:
        async with asyncio.timeout(seconds):
            return await probe.probe()
    except TimeoutError:
        return ProbeResult(probe.name, ok=False, detail=f"There was no response within {seconds:g} s.")
    except Exception:
        logger.exception("the check %s raised an error", probe.name)
        return ProbeResult(probe.name, ok=False, detail="The check itself failed; the log has the reason.")
