"""Times as text are what `isoformat` writes, and come back to the millisecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.times import time_from_text, time_to_text

INSTANTS = st.datetimes(timezones=st.just(UTC))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def by_isoformat(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(INSTANTS)
def test_every_instant_is_written_as_isoformat_writes_it(time: datetime) -> None:
    assert time_to_text(time) == by_isoformat(time)
    assert time_from_text(time_to_text(time)) == time.replace(microsecond=time.microsecond // 1_000 * 1_000)


@given(st.datetimes(timezones=ZONES).filter(lambda time: 1 < time.year < 9_999))
def test_another_zone_is_brought_to_utc(time: datetime) -> None:
    assert time_to_text(time) == by_isoformat(time)


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [(0, "0001-01-01T00:00:00.000Z"), (999, "0001-01-01T00:00:00.000Z"), (999_999, "0001-01-01T00:00:00.999Z")],
)
def test_what_is_below_a_millisecond_is_cut_off(microsecond: int, text: str) -> None:
    assert time_to_text(datetime(1, 1, 1, microsecond=microsecond, tzinfo=UTC)) == text


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="has no offset from UTC"):
        time_to_text(datetime(2026, 1, 1))  # noqa: DTZ001 that is what is refused
