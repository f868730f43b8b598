"""The mathematics of the table of benchmarks."""

import pytest

from benchmarks.figures import Figure, percentile, rate
from benchmarks.report import report


def _figure(*, less_is_better: bool = False) -> Figure:
    return Figure(
        line="S12",
        ours=[600.0, 200.0, 900.0],
        theirs=[200.0, 100.0, 100.0],
        unit="commits/s",
        less_is_better=less_is_better,
    )


def test_ratios_are_those_of_the_same_round() -> None:
    """Neither sorted nor averaged first: the two sides of a round met the same machine."""
    assert _figure().ratios == [3.0, 2.0, 9.0]


def test_the_median_of_the_rounds_has_the_lowest_beside_it() -> None:
    assert (_figure().median, _figure().worst) == (3.0, 2.0)


def test_where_less_is_better_the_worst_round_is_the_highest() -> None:
    assert (_figure(less_is_better=True).median, _figure(less_is_better=True).worst) == (3.0, 9.0)


def test_an_even_number_of_rounds_has_its_median_between_the_middle_two() -> None:
    assert Figure(line="S1", ours=[1.0, 2.0, 4.0, 9.0], theirs=[1.0] * 4, unit="s").median == 3.0


def test_a_bound_is_reached_from_the_better_side() -> None:
    assert [_figure().reaches(bound) for bound in (2.9, 3.0, 3.1)] == [True, True, False]
    assert [_figure(less_is_better=True).reaches(bound) for bound in (2.9, 3.0, 3.1)] == [False, True, True]


def test_a_side_that_lacks_a_round_is_no_figure() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Figure(line="S1", ours=[1.0, 2.0], theirs=[1.0], unit="s").ratios  # noqa: B018 (a property that raises)


def test_a_rate_is_per_second() -> None:
    assert rate(3_000, 1.5) == 2_000.0


def test_no_time_at_all_is_no_rate() -> None:
    with pytest.raises(ValueError, match="no rate"):
        rate(1, 0.0)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    hundred = [float(value) for value in range(100, 0, -1)]
    assert [percentile(hundred, percent) for percent in (1, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0


def test_a_line_without_a_figure_says_so_and_why() -> None:
    text = report([_figure()], {"S8": "it was not asked for"}, {"machine": "a desk"})
    missing, measured = (line for line in text.splitlines() if line.startswith("| S"))
    assert "**3.00** | 2.00 | 3 | 600 commits/s | 100 commits/s | 0.95 | 0.8 | goal reached" in measured
    assert "not measured" in missing
    assert "it was not asked for" in missing
    assert "- machine: a desk" in text


def test_a_line_that_needs_more_processors_than_there_are_gets_no_verdict() -> None:
    """Whether it was measured or not."""
    figure = Figure(line="S20 2", ours=[190.0], theirs=[100.0], unit="events/s")
    [few] = [line for line in report([figure], {}, {}, processors=2).splitlines() if line.startswith("| S20")]
    assert "**1.90**" in few
    assert few.endswith("| no verdict: it needs 4 processors, and this machine has 2 |")
    [enough] = [line for line in report([figure], {}, {}, processors=4).splitlines() if line.startswith("| S20")]
    assert enough.endswith("| goal reached |")


def test_a_quick_run_reaches_no_goal() -> None:
    """Its sizes are not those that the line names."""
    text = report([_figure()], {}, {}, quick=True)
    assert "on a tenth" in text
    assert "goal reached" not in text
