"""What the plots of the operators' page begin with."""

from datetime import timedelta

from msgspec import json

from application.query_side.pipeline_queries import PartitionStanding, PipelineStatus, RowsStanding
from entrypoints.web.plots import samples_of
from unit.entrypoints.http.fakes import NOW


def look(second: int, behind: int) -> PipelineStatus:
    at = NOW + timedelta(seconds=second)
    since = at - timedelta(seconds=behind) if behind else None
    partition = PartitionStanding(
        partition=0, position=second, commits=behind, events=behind, since=since, at_least=False
    )
    rows = RowsStanding(
        adapter="memory",
        generation=1,
        live_since=None,
        ready=True,
        position=second,
        parked=0,
        partitions=[partition],
    )
    return PipelineStatus(at=at, tip=second + behind, rows=rows, relay=None, problems=())


def test_a_lag_of_one_second_among_all_looks_that_are_kept_is_drawn():
    looks = [look(second, behind=90 if second == 1_234 else 0) for second in range(1_800)]
    samples = json.decode(samples_of(looks))
    assert [sample[3] for sample in samples if sample[3]] == [90.0]
    assert samples[1_234][:3] == [NOW.timestamp() + 1_234, 1_324, 1_234]
