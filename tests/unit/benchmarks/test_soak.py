"""What makes a soak fail: memory or latencies that grow."""

from benchmarks.soak import TIMERS, drifts


def test_memory_and_latencies_that_stay_are_no_drift() -> None:
    """Nor is a warm-up in the first sixth, or a peak in the middle."""
    flat = [50.0, 90.0, 100.0, 100.0, 100.0, 100.0, 400.0, 100.0, 109.0, 109.0, 109.0, 109.0]
    points = [(float(number), value) for number, value in enumerate(flat)]
    assert drifts({"command": points}, {"queries": points}) == []


def test_growth_beyond_its_bound_is_named() -> None:
    growing = [(float(number), 100.0 + 10 * number) for number in range(12)]
    assert drifts({"relay": growing}, {"commands": growing}) == [
        "the memory of relay grew from 125 to 195 MB",
        "the p99 of commands grew from 125.0 to 195.0 ms",
    ]


def test_latencies_on_a_busy_machine_prove_nothing() -> None:
    growing = [(float(number), 100.0 + 10 * number) for number in range(12)]
    late, quiet = ([(float(number), value) for number in range(12)] for value in (6.0, 0.2))
    assert drifts({}, {"commands": growing, TIMERS: late}) == []
    assert drifts({}, {"commands": growing, TIMERS: quiet}) == ["the p99 of commands grew from 125.0 to 195.0 ms"]
