"""`/operations`: whether all is well, how far everything is, and what an operator may start: live.

What the plots are drawn from: a few numbers of each look at the pipeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp
from msgspec import json

from application.maintenance.rebuilds import RebuildStatus
from application.ports.read_db import ParkedStream
from application.query_side.status import PartitionStatus, PipelineStatus
from domain.errors import PostlogError
from entrypoints.serving.routing import post_id_of
from entrypoints.web.health_summary import Partition, summarize_health
from entrypoints.web.live import live
from entrypoints.web.page_request import PageRequest, Route, see_other
from entrypoints.web.services import Operations, WebServices

_SECONDS = 1.0
_FIRST_LOOK_SECONDS = 1.5
_RETRY_SECONDS = 15.0
_PARKED_SHOWN = 50
_SPARKLINES = 24
_REBUILDS_SHOWN = 4
_PARTS = (
    "verdict",
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
            Route("/operations", show=self.show),
            Route("/operations/stream", show=self.stream),
            Route("/operations/rebuild", submit=self.rebuild),
            Route("/operations/rebuild/cancel", submit=self.cancel_rebuild),
            Route("/operations/audit", submit=self.audit),
            Route("/operations/audit/cancel", submit=self.cancel_audit),
            Route("/operations/parked/retry", submit=self.retry),
        ]

    async def show(self, visit: PageRequest) -> ASGIApp:
        await self.operations.diagnosis.findings(_FIRST_LOOK_SECONDS)
        context = await self._context(await self.services.watch.latest())
        freed, still = visit.number("freed"), visit.number("still")
        return await visit.page(
            "operations.html", **context, samples=samples_of(self.services.watch.samples), freed=freed, still=still
        )

    async def stream(self, visit: PageRequest) -> ASGIApp:
        """Each second, the parts that have changed since."""
        sent: dict[str, str] = {}

        async def news() -> str:
            await self.operations.diagnosis.findings()
            context = await self._context(await self.services.watch.latest())
            html = {part: await visit.part("operations.parts.html", part=part, **context) for part in _PARTS}
            changed = [text for part, text in html.items() if sent.get(part) != text]
            sent.update(html)
            return "\n".join(changed)

        return live(visit, news, _SECONDS)

    async def rebuild(self, visit: PageRequest) -> ASGIApp:
        """Of the read database that queries are answered from."""
        await visit.form()
        await self.operations.rebuilds.begin()
        return see_other("/operations#rebuild-card")

    async def cancel_rebuild(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        await self.operations.rebuilds.cancel(form.text("rebuild"))
        self.operations.diagnosis.expire()
        return see_other("/operations#rebuild-card")

    async def audit(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        self.operations.audits.begin(form.number("sample", low=1))
        return see_other("/operations#audit")

    async def cancel_audit(self, visit: PageRequest) -> ASGIApp:
        await visit.form()
        await self.operations.audits.cancel()
        return see_other("/operations#audit")

    async def retry(self, visit: PageRequest) -> ASGIApp:
        """One post, or all for as long as an answer may take."""
        form = await visit.form()
        if form.text("post"):
            result = await self.operations.parked.retry(post_id_of(form.text("post")))
            freed, still = (1, 0) if result.still is None else (0, 1)
        else:
            retried = await self.operations.parked.retry_all(_RETRY_SECONDS)
            freed, still = retried.freed, retried.still
        self.operations.diagnosis.expire()
        return see_other(f"/operations?freed={freed}&still={still}#parked")

    async def _context(self, status: PipelineStatus) -> dict[str, Any]:
        partitions = [self._partition(status, standing) for standing in status.rows.partitions] if status.rows else []
        findings, audit = self.operations.diagnosis.last, self.operations.audits.last
        return {
            "pipeline": status,
            "partitions": partitions,
            "written_rate": self.services.watch.rate_of(lambda look: look.tip),
            "findings": findings,
            "rebuilds": await self._rebuilds(),
            "audit": audit,
            "parked": await self._parked(status),
            "verdict": summarize_health(status, partitions, findings, audit),
            "sample": sample_of(status),
        }

    def _partition(self, status: PipelineStatus, standing: PartitionStatus) -> Partition:
        age = (status.at - standing.since).total_seconds() if standing.since else 0.0
        watch = self.services.watch
        line = sparkline(watch.samples, standing.partition) if standing.partition < _SPARKLINES else ""
        return Partition(standing, watch.throughput_of(standing), max(0.0, age), line)

    async def _rebuilds(self) -> list[RebuildStatus]:
        """The last ones, whoever began them. That the read database is away is said elsewhere on the page."""
        try:
            return list(await self.operations.rebuilds.recent(limit=_REBUILDS_SHOWN))
        except PostlogError:
            return []

    async def _parked(self, status: PipelineStatus) -> list[ParkedStream]:
        """Those that a page takes. That the read database is away is said elsewhere on it."""
        if status.rows is None or not status.rows.parked:
            return []
        try:
            return list(await self.operations.parked.page(_PARKED_SHOWN))
        except PostlogError:
            return []


_POINTS_OF_A_SPARKLINE = 60


def sample_of(look: PipelineStatus) -> str:
    """JSON: seconds since 1970, position of the log, position of the rows, seconds that the rows are behind. What was
    not known then is null."""
    return json.encode(_numbers(look)).decode()


def samples_of(looks: Sequence[PipelineStatus]) -> str:
    """JSON of every look, the oldest first. None is left out: a lag that lasted one second is one sample."""
    return json.encode([_numbers(look) for look in looks]).decode()


def sparkline(looks: Sequence[PipelineStatus], partition: int) -> str:
    """How many commits a partition lacked in the last looks: the points of an SVG polyline, 100 wide and 20 high, its
    highest at the top."""
    lags = [_lag_in(look, partition) for look in list(looks)[-_POINTS_OF_A_SPARKLINE:]]
    most, step = max([1, *lags]), 100 / max(1, len(lags) - 1)
    return " ".join(f"{index * step:.1f},{20 - 20 * lag / most:.1f}" for index, lag in enumerate(lags))


def _lag_in(look: PipelineStatus, partition: int) -> int:
    standings = look.rows.partitions if look.rows else ()
    return next((each.commits for each in standings if each.partition == partition), 0)


def _numbers(look: PipelineStatus) -> tuple[float, int | None, int | None, float | None]:
    at, rows = round(look.at.timestamp(), 3), look.rows
    if rows is None:
        return (at, look.tip, None, None)
    behind = max(0.0, (look.at - rows.since).total_seconds()) if rows.since else 0.0
    return (at, look.tip, rows.position, round(behind, 3))
