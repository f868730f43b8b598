"""Whether all is well, in one sentence; and if it is not, what to do: that is what the doctor's findings say."""

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
    """`sentence` is the first thing to know; `more` is what else is wrong."""

    tone: Tone
    title: str
    sentence: str
    more: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Partition:
    """`sparkline` are the points of its lag over the last minute; "": not drawn."""

    standing: PartitionStatus
    pace: Throughput
    lag_seconds: float
    sparkline: str


def summarize_health(
    status: PipelineStatus, partitions: Sequence[Partition], findings: Findings | None, audit: AuditRun | None
) -> HealthSummary:
    unpublished = _unpublished(status)
    found = _found(findings, partitions, relay_is_told=bool(unpublished))
    wrong = [*status.problems, *unpublished, *found, *_audited(audit)]
    if wrong:
        first, *more = dict.fromkeys(wrong)
        return HealthSummary("bad", "Something needs you.", first, more)
    if behind := [each for each in partitions if each.pace.state is not PartitionState.UP_TO_DATE]:
        return HealthSummary("busy", "The rows are catching up.", _catching_up(behind))
    if findings is None or status.rows is None:
        return HealthSummary("unknown", "Checking …", "The first check is in progress.")
    end = counted(status.rows.position, "commit", "commits")
    return HealthSummary(
        "good", "All is well.", f"Everything answers, and the rows have all {end} of the log. Nothing waits."
    )


def _unpublished(status: PipelineStatus) -> list[str]:
    """Rows that are behind because of this are not their projector's fault."""
    relay, tip = status.relay, status.tip
    if relay is None or relay.owner is not None or tip is None or tip <= relay.position:
        return []
    waiting = counted(tip - relay.position, "commit waits", "commits wait")
    return [f"No relay publishes the log to the bus, and {waiting} for one; is a relay running (`postlog relay`)?"]


def _found(findings: Findings | None, partitions: Sequence[Partition], *, relay_is_told: bool) -> list[str]:
    """Whether the rows, or the bus, are left behind is better known from the last seconds than from the last
    examination."""
    still = any(each.pace.state is PartitionState.STALLED for each in partitions)
    return [
        finding.detail
        for finding in (findings.all if findings else ())
        if not finding.ok
        and (finding.check != "lag" or still or not partitions)
        and not (finding.check == "relay" and relay_is_told)
    ]


def _audited(audit: AuditRun | None) -> list[str]:
    if audit is None or audit.report is None or not audit.report.differences:
        return []
    found = counted(len(audit.report.differences), "difference", "differences")
    return [f"The last audit found {found} between rows and log; `postlog audit --repair` recreates those rows."]


def _catching_up(behind: Sequence[Partition]) -> str:
    lacking = sum(each.standing.commits for each in behind)
    begin = "At least " if any(each.standing.at_least for each in behind) else ""
    words = f"{begin}{counted(lacking, 'commit', 'commits')} to go"
    known = [each.pace.seconds_left for each in behind if each.pace.seconds_left is not None]
    return f"{words}, about {lasting(max(known))} at the speed of the last seconds." if known else f"{words}."
