"""For how long a commit could have been projected, whatever its own time is."""

import pytest

from application.log_growth import LogGrowth

YEARS = 100_000_000.0


@pytest.fixture
def growth() -> LogGrowth:
    """The log ended at 10 in the first sample, at 100 s, and at 20 at 110 s."""
    growth = LogGrowth()
    growth.observe(10, 100.0)
    growth.observe(20, 110.0)
    return growth


@pytest.mark.parametrize(
    ("position", "recorded", "age"),
    [
        (15, 24.0, 24.0),  # at 106 s, between the samples
        (15, YEARS, 30.0),
        (15, -YEARS, 20.0),
        (20, YEARS, 30.0),
        (10, YEARS, 30.0),  # was there at the first sample
        (10, -YEARS, 30.0),
        (25, YEARS, 20.0),  # came after the last sample
        (25, -YEARS, 0.0),
    ],
)
def test_the_time_of_a_commit_is_limited_to_the_interval_between_two_samples(
    growth: LogGrowth, position: int, recorded: float, age: float
) -> None:
    assert growth.age(position, recorded, at=130.0) == age


def test_before_the_first_sample_a_commit_is_new() -> None:
    assert LogGrowth().age(1, YEARS, at=5.0) == 0


def test_samples_of_an_idle_log_do_not_make_a_commit_younger(growth: LogGrowth) -> None:
    for at in range(111, 200):
        growth.observe(20, float(at))
    assert growth.age(20, -YEARS, at=200.0) == 90


def test_samples_of_projected_commits_are_dropped_and_others_are_not(growth: LogGrowth) -> None:
    growth.observe(30, 120.0)
    growth.forget(20)
    assert growth.age(21, YEARS, at=130.0) == 20
    growth.forget(30)
    growth.observe(31, 125.0)
    assert growth.age(31, YEARS, at=130.0) == 10


def test_commits_after_a_restore_are_new(growth: LogGrowth) -> None:
    growth.observe(12, 120.0)
    growth.observe(20, 130.0)
    assert growth.age(20, YEARS, at=131.0) == 11


def test_memory_is_bounded_while_rows_lag_for_days() -> None:
    growth = LogGrowth()
    for number in range(200_000):
        growth.observe(number, float(number))
    assert len(growth._samples) <= 1_000
    for position in (1, 100_000, 199_999):
        for recorded in (YEARS, -YEARS):
            assert growth.age(position, recorded, at=200_000.0) == pytest.approx(200_000 - position, abs=1_000)
