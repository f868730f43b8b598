"""The health of the service in one sentence, and what to do if something is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from application.maintenance.audit import AuditRun
from application.maintenance.doctor import Findings
from application.query_side.pipeline_sampler import PartitionState, Throughput
from application.query_side.status import PartitionStatus, PipelineStatus
from entrypoints.web.formatting import counted, lasting

Tone = Literal["good", "busy", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """`sentence` is the most important finding; `more` has the others."""

    tone: Tone
    title: str
    sentence: str
    more: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Partition:
    """`sparkline` has the points of its lag in the last minute; "": not drawn."""

    status: PartitionStatus
    throughput: Throughput
    lag_seconds: float
    sparkline: str


def summarize_health(
    status: PipelineStatus, partitions: Sequence[Partition], findings: Findings | None, audit: AuditRun | None
) -> HealthSummary:
    unpublished = _unpublished(status)
    found = _found(findings, partitions, relay_is_reported=bool(unpublished))
    wrong = [*status.problems, *unpublished, *found, *_audited(audit)]
    if wrong:
        first, *more = dict.fromkeys(wrong)
        return HealthSummary("bad", "Action needed.", first, more)
    if behind := [each for each in partitions if each.throughput.state is not PartitionState.UP_TO_DATE]:
        return HealthSummary("busy", "Rows are catching up.", _catching_up(behind))
    if findings is None or status.rows is None:
        return HealthSummary("unknown", "Checking …", "The first check is in progress.")
    end = counted(status.rows.position, "commit", "commits")
    return HealthSummary("good", "All healthy.", f"All parts respond, and the rows have all {end} of the log.")


def _unpublished(status: PipelineStatus) -> list[str]:
    """Reported first, because rows that are behind for this reason are not the projector's fault."""
    relay, tip = status.relay, status.tip
    if relay is None or relay.owner is not None or tip is None or tip <= relay.position:
        return []
    waiting = counted(tip - relay.position, "commit is", "commits are")
    return [f"No relay publishes the log to the bus, and {waiting} waiting. Is a relay running (`postlog relay`)?"]


def _found(findings: Findings | None, partitions: Sequence[Partition], *, relay_is_reported: bool) -> list[str]:
    """Without findings on lag that the samples of the last seconds contradict, and without what is reported already."""
    stalled = any(each.throughput.state is PartitionState.STALLED for each in partitions)
    return [
        finding.detail
        for finding in (findings.all if findings else ())
        if not finding.ok
        and (finding.check != "lag" or stalled or not partitions)
        and not (finding.check == "relay" and relay_is_reported)
    ]


def _audited(audit: AuditRun | None) -> list[str]:
    if audit is None or audit.report is None or not audit.report.differences:
        return []
    found = counted(len(audit.report.differences), "difference", "differences")
    return [f"The last audit found {found} between rows and log; `postlog audit --repair` recreates those rows."]


def _catching_up(behind: Sequence[Partition]) -> str:
    lag = sum(each.status.commits for each in behind)
    at_least = "At least " if any(each.status.at_least for each in behind) else ""
    words = f"{at_least}{counted(lag, 'commit', 'commits')} behind"
    known = [each.throughput.seconds_left for each in behind if each.throughput.seconds_left is not None]
    return f"{words}, about {lasting(max(known))} left at the current rate." if known else f"{words}."
