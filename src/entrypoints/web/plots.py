"""What the plots are drawn from: a few numbers of each look at the pipeline."""

from collections.abc import Sequence

from msgspec import json

from application.query_side.pipeline_queries import PipelineStatus

_POINTS = 300
"""That a page begins with; a plot is not wider."""

_POINTS_OF_A_SPARKLINE = 60


def sample_of(look: PipelineStatus) -> str:
    """JSON: seconds since 1970, position of the log, of the rows, seconds that the rows are behind, and by partition
    how many commits. What was not known then is null."""
    return json.encode(_numbers(look)).decode()


def samples_of(looks: Sequence[PipelineStatus]) -> str:
    """JSON of evenly many of them, the oldest first, the last one among them."""
    kept = list(looks)[:: -max(1, -(-len(looks) // _POINTS))][::-1]
    return json.encode([_numbers(look) for look in kept]).decode()


def sparkline(looks: Sequence[PipelineStatus], partition: int) -> str:
    """How many commits a partition lacked in the last looks: the points of an SVG polyline, 100 wide and 20 high, its
    highest at the top."""
    lags = [_lag_in(look, partition) for look in list(looks)[-_POINTS_OF_A_SPARKLINE:]]
    most, step = max([1, *lags]), 100 / max(1, len(lags) - 1)
    return " ".join(f"{index * step:.1f},{20 - 20 * lag / most:.1f}" for index, lag in enumerate(lags))


def _lag_in(look: PipelineStatus, partition: int) -> int:
    standings = look.rows.partitions if look.rows else ()
    return next((each.commits for each in standings if each.partition == partition), 0)


def _numbers(look: PipelineStatus) -> tuple[float, int | None, int | None, float | None, list[int]]:
    rows = look.rows
    if rows is None:
        return (look.at.timestamp(), look.tip, None, None, [])
    behind = max(0.0, (look.at - rows.since).total_seconds()) if rows.since else 0.0
    return (look.at.timestamp(), look.tip, rows.position, round(behind, 3), [each.commits for each in rows.partitions])
