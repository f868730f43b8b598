"""What the operators' page says first."""

import pytest

from application.maintenance.checkup import Findings
from application.maintenance.doctor import Finding
from application.query_side.pipeline_queries import PipelineStatus, RelayStanding
from entrypoints.web.verdict import verdict_of
from unit.entrypoints.http.fakes import NOW

BEHIND = Findings(NOW, [Finding("lag", ok=False, detail="The rows are behind. Is a projector running?")])


def status(relay: RelayStanding | None, tip: int | None = 8) -> PipelineStatus:
    return PipelineStatus(at=NOW, tip=tip, rows=None, relay=relay, problems=())


def test_rows_that_wait_for_a_relay_are_no_projector_s_fault():
    verdict = verdict_of(status(RelayStanding(owner=None, position=5)), [], BEHIND, None)
    assert verdict.sentence == (
        "No relay publishes the log to the bus, and 3 commits wait for one; is a relay running (`postlog relay`)?"
    )
    assert verdict.more == ["The rows are behind. Is a projector running?"]


@pytest.mark.parametrize(
    "standing",
    [
        status(None),
        status(RelayStanding(owner="r1", position=5)),
        status(RelayStanding(owner=None, position=8)),
        status(RelayStanding(owner=None, position=5), tip=None),
    ],
    ids=["no bus", "one works", "nothing to publish", "the log is away"],
)
def test_otherwise_the_relay_is_not_blamed(standing: PipelineStatus):
    assert verdict_of(standing, [], BEHIND, None).sentence == "The rows are behind. Is a projector running?"
