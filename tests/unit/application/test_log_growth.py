"""For how long rows could have had a commit, whatever time it says of itself."""

import pytest

from application.log_growth import LogGrowth

YEARS = 100_000_000.0


@pytest.fixture
def growth() -> LogGrowth:
    """The log ended at 10 at 100 s, when it was looked at first, and at 20 at 110 s."""
    growth = LogGrowth()
    growth.observe(10, 100.0)
    growth.observe(20, 110.0)
    return growth


@pytest.mark.parametrize(
    ("position", "recorded", "age"),
    [
        (15, 24.0, 24.0),  # at 106 s, between the looks: believed
        (15, YEARS, 30.0),
        (15, -YEARS, 20.0),
        (20, YEARS, 30.0),
        (10, YEARS, 30.0),  # was there at the first look
        (10, -YEARS, 30.0),
        (25, YEARS, 20.0),  # came after the last look
        (25, -YEARS, 0.0),
    ],
)
def test_the_time_of_a_commit_counts_as_far_as_it_is_between_two_looks(
    growth: LogGrowth, position: int, recorded: float, age: float
) -> None:
    assert growth.age(position, recorded, at=130.0) == age


def test_before_any_look_it_is_new() -> None:
    assert LogGrowth().age(1, YEARS, at=5.0) == 0


def test_a_log_that_stands_still_does_not_make_what_is_lacking_younger(growth: LogGrowth) -> None:
    for at in range(111, 200):
        growth.observe(20, float(at))
    assert growth.age(20, -YEARS, at=200.0) == 90


def test_what_the_rows_have_is_forgotten_and_the_rest_is_not(growth: LogGrowth) -> None:
    growth.observe(30, 120.0)
    growth.forget(20)
    assert growth.age(21, YEARS, at=130.0) == 20
    growth.forget(30)
    growth.observe(31, 125.0)
    assert growth.age(31, YEARS, at=130.0) == 10


def test_what_comes_again_after_a_restore_is_new(growth: LogGrowth) -> None:
    growth.observe(12, 120.0)
    growth.observe(20, 130.0)
    assert growth.age(20, YEARS, at=131.0) == 11


def test_rows_that_stand_still_for_days_are_followed_in_bounded_memory() -> None:
    growth = LogGrowth()
    for number in range(200_000):
        growth.observe(number, float(number))
    assert len(growth._samples) <= 1_000
    for position in (1, 100_000, 199_999):
        for recorded in (YEARS, -YEARS):
            assert growth.age(position, recorded, at=200_000.0) == pytest.approx(200_000 - position, abs=1_000)
