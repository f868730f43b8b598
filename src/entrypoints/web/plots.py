"""What the plots are drawn from: a few numbers of each look at the pipeline."""

from collections.abc import Sequence

from msgspec import json

from application.query_side.pipeline_queries import PipelineStatus

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
