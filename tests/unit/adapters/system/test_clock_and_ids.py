"""The machine's clock and new ids."""

from datetime import UTC, datetime
from uuid import UUID

from adapters.system.clock_and_ids import SystemClock, UuidIds


def test_now_is_utc_cut_to_milliseconds() -> None:
    clock = SystemClock()
    before = datetime.now(UTC)
    times = [clock.now() for _ in range(100)]
    after = datetime.now(UTC)
    assert {time.tzinfo for time in times} == {UTC}
    assert {time.microsecond % 1_000 for time in times} == {0}
    assert before.replace(microsecond=before.microsecond // 1_000 * 1_000) <= times[0] <= times[-1] <= after


def test_the_monotonic_clock_never_runs_backwards() -> None:
    clock = SystemClock()
    times = [clock.monotonic() for _ in range(100)]
    assert times == sorted(times)


def test_an_id_is_a_uuid_of_version_7_as_lower_case_text() -> None:
    new = UuidIds().new()
    assert str(UUID(new)) == new
    assert UUID(new).version == 7


def test_ids_made_later_sort_later() -> None:
    ids = UuidIds()
    made = [ids.new() for _ in range(10_000)]
    assert made == sorted(set(made))
