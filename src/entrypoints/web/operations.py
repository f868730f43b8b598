"""`/operations`: the health of the service, the progress of its parts, and what an operator may start: updated live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp
from msgspec import json

from application.maintenance.rebuilds import RebuildStatus
from application.ports.read_db import ParkedStream
from application.query_side.status import PartitionStatus, PipelineStatus
from domain.errors import PostlogError
from entrypoints.serving.access import Access
from entrypoints.serving.routing import post_id_of
from entrypoints.web.health_summary import Partition, summarize_health
from entrypoints.web.live import live
from entrypoints.web.page_request import PageRequest, Route, see_other
from entrypoints.web.services import Operations, WebServices

_SECONDS = 1.0
_FIRST_DIAGNOSIS_SECONDS = 1.5
_RETRY_SECONDS = 15.0
_PARKED_SHOWN = 50
_SPARKLINES = 24
_REBUILDS_SHOWN = 4
_PARTS = (
    "health",
    "figures",
    "partitions",
    "rebuild-progress",
    "rebuild",
    "audit-progress",
    "audit",
    "parked",
    "checks",
    "sample",
)


@dataclass(frozen=True, slots=True)
class OperationsPage:
    services: WebServices
    operations: Operations

    def routes(self) -> list[Route]:
        return [
            Route("/operations", show=self.show, access=Access.OPERATE),
            Route("/operations/stream", show=self.stream, access=Access.OPERATE),
            Route("/operations/rebuild", submit=self.rebuild, access=Access.OPERATE),
            Route("/operations/rebuild/cancel", submit=self.cancel_rebuild, access=Access.OPERATE),
            Route("/operations/audit", submit=self.audit, access=Access.OPERATE),
            Route("/operations/audit/cancel", submit=self.cancel_audit, access=Access.OPERATE),
            Route("/operations/parked/retry", submit=self.retry, access=Access.OPERATE),
        ]

    async def show(self, request: PageRequest) -> ASGIApp:
        await self.operations.diagnosis.findings(_FIRST_DIAGNOSIS_SECONDS)
        context = await self._context(await self.services.sampler.latest())
        freed, still = request.number("freed"), request.number("still")
        return await request.page(
            "operations.html", **context, samples=samples_of(self.services.sampler.samples), freed=freed, still=still
        )

    async def stream(self, request: PageRequest) -> ASGIApp:
        """Each second, the parts that have changed."""
        sent: dict[str, str] = {}

        async def news() -> str:
            await self.operations.diagnosis.findings()
            context = await self._context(await self.services.sampler.latest())
            html = {part: await request.part("operations.parts.html", part=part, **context) for part in _PARTS}
            changed = [text for part, text in html.items() if sent.get(part) != text]
            sent.update(html)
            return "\n".join(changed)

        return live(request, news, _SECONDS)

    async def rebuild(self, request: PageRequest) -> ASGIApp:
        """Of the read database that answers queries."""
        await request.form()
        await self.operations.rebuilds.begin()
        return see_other("/operations#rebuild-card")

    async def cancel_rebuild(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        await self.operations.rebuilds.cancel(form.text("rebuild"))
        self.operations.diagnosis.expire()
        return see_other("/operations#rebuild-card")

    async def audit(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        self.operations.audits.begin(form.number("sample", low=1))
        return see_other("/operations#audit")

    async def cancel_audit(self, request: PageRequest) -> ASGIApp:
        await request.form()
        await self.operations.audits.cancel()
        return see_other("/operations#audit")

    async def retry(self, request: PageRequest) -> ASGIApp:
        """One post, or as many as the time of a response allows."""
        form = await request.form()
        if form.text("post"):
            result = await self.operations.parked.retry(post_id_of(form.text("post")))
            freed, still = (1, 0) if result.still is None else (0, 1)
        else:
            retried = await self.operations.parked.retry_all(_RETRY_SECONDS)
            freed, still = retried.freed, retried.still
        self.operations.diagnosis.expire()
        return see_other(f"/operations?freed={freed}&still={still}#parked")

    async def _context(self, status: PipelineStatus) -> dict[str, Any]:
        partitions = [self._partition(status, partition) for partition in status.rows.partitions] if status.rows else []
        findings, audit = self.operations.diagnosis.last, self.operations.audits.last
        return {
            "pipeline": status,
            "partitions": partitions,
            "written_rate": self.services.sampler.rate_of(lambda sample: sample.tip),
            "findings": findings,
            "rebuilds": await self._rebuilds(),
            "audit": audit,
            "parked": await self._parked(status),
            "health": summarize_health(status, partitions, findings, audit),
            "sample": sample_of(status),
        }

    def _partition(self, status: PipelineStatus, partition: PartitionStatus) -> Partition:
        age = (status.at - partition.since).total_seconds() if partition.since else 0.0
        sampler = self.services.sampler
        line = sparkline(sampler.samples, partition.partition) if partition.partition < _SPARKLINES else ""
        return Partition(partition, sampler.throughput_of(partition), max(0.0, age), line)

    async def _rebuilds(self) -> list[RebuildStatus]:
        """The last ones, of all processes. Another part of the page reports an unavailable read database."""
        try:
            return list(await self.operations.rebuilds.recent(limit=_REBUILDS_SHOWN))
        except PostlogError:
            return []

    async def _parked(self, status: PipelineStatus) -> list[ParkedStream]:
        """The first ones. Another part of the page reports an unavailable read database."""
        if status.rows is None or not status.rows.parked:
            return []
        try:
            return list(await self.operations.parked.page(_PARKED_SHOWN))
        except PostlogError:
            return []


# --- the data of the plots ---

_POINTS_OF_A_SPARKLINE = 60


def sample_of(status: PipelineStatus) -> str:
    """JSON: seconds since 1970, position of the log, position of the rows, their lag in seconds. Null: unknown."""
    return json.encode(_numbers(status)).decode()


def samples_of(samples: Sequence[PipelineStatus]) -> str:
    """JSON of all samples, oldest first, without gaps: a lag that lasted one second is in one sample only."""
    return json.encode([_numbers(status) for status in samples]).decode()


def sparkline(samples: Sequence[PipelineStatus], partition: int) -> str:
    """The lag of a partition, in commits, in the last samples: the points of an SVG polyline, 100 wide and 20 high."""
    lags = [_lag_in(status, partition) for status in list(samples)[-_POINTS_OF_A_SPARKLINE:]]
    most, step = max([1, *lags]), 100 / max(1, len(lags) - 1)
    return " ".join(f"{index * step:.1f},{20 - 20 * lag / most:.1f}" for index, lag in enumerate(lags))


def _lag_in(status: PipelineStatus, partition: int) -> int:
    partitions = status.rows.partitions if status.rows else ()
    return next((each.commits for each in partitions if each.partition == partition), 0)


def _numbers(status: PipelineStatus) -> tuple[float, int | None, int | None, float | None]:
    at, rows = round(status.at.timestamp(), 3), status.rows
    if rows is None:
        return (at, status.tip, None, None)
    behind = max(0.0, (status.at - rows.since).total_seconds()) if rows.since else 0.0
    return (at, status.tip, rows.position, round(behind, 3))
