"""A process logs when a dependency stops responding and when it responds again, each once."""

import asyncio
import logging
import time
from contextlib import suppress

import pytest

from adapters.system.metrics import PrometheusMetrics
from application.ports.provisioning import ProbeResult
from command_process import RecordedMetrics
from entrypoints.composition.monitoring import HealthLogger, LoopStalls


class Scripted:
    """Answers as the script says, one after the other."""

    def __init__(self, name: str, *oks: bool) -> None:
        self.name = name
        self._oks = iter(oks)

    async def probe(self) -> ProbeResult:
        ok = next(self._oks)
        return ProbeResult(self.name, ok=ok, detail=f"{self.name} {'answers' if ok else 'is away'}.")


async def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = Scripted("log", True, False, False, False, True, True, False, False)
    health = HealthLogger([log, Scripted("bus", *[True] * 8)], 1.0, RecordedMetrics())
    for _ in range(8):
        await health.probe()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "not ready, log: log is away."),
        ("INFO", "ready again, log: log answers."),
        ("WARNING", "not ready, log: log is away."),
    ]


async def test_a_helpful_dependency_does_not_count_as_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    health = HealthLogger(
        [Scripted("rows", *[True] * 3)], 1.0, RecordedMetrics(), [Scripted("log", False, False, True)]
    )
    for _ in range(3):
        await health.probe()
    assert [record.message for record in caplog.records] == ["away, log: log is away.", "back, log: log answers."]


async def test_each_result_is_exported_by_the_name_of_its_check() -> None:
    metrics = PrometheusMetrics()
    health = HealthLogger([Scripted("bus", True, True)], 1.0, metrics, [Scripted("event_store", False, True)])
    exported = []
    for _ in range(2):
        await health.probe()
        exported.append([line for line in metrics.text()[0].decode().splitlines() if "health_check_ok{" in line])
    assert exported == [
        ['postlog_health_check_ok{check="bus"} 1.0', 'postlog_health_check_ok{check="event_store"} 0.0'],
        ['postlog_health_check_ok{check="bus"} 1.0', 'postlog_health_check_ok{check="event_store"} 1.0'],
    ]


async def test_a_single_failure_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    health = HealthLogger([Scripted("log", False, True, False, True)], 1.0, RecordedMetrics())
    for _ in range(4):
        await health.probe()
    assert caplog.records == []


async def test_a_probe_that_hung_and_responds_again_is_logged_by_one_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = Hanging()
    health = HealthLogger([rows], 0.01, RecordedMetrics())
    for _ in range(2):
        await health.probe()
    rows.hangs = False
    await health.probe()
    assert [record.message for record in caplog.records] == [
        "not ready, rows: There was no response within 0.01 s.",
        "ready again, rows: They are there.",
    ]


class Hanging:
    name = "rows"
    hangs = True

    async def probe(self) -> ProbeResult:
        if self.hangs:
            await asyncio.Event().wait()
        return ProbeResult(self.name, ok=True, detail="They are there.")


async def test_the_longest_stall_of_the_event_loop_is_reported_until_it_is_old(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gauges: list[float] = []

    class Metrics(RecordedMetrics):
        def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
            assert (name, labels) == ("event_loop_stall_seconds", {})
            gauges.append(value)

    measuring = asyncio.create_task(LoopStalls(Metrics(), window=1.0).run())
    async with asyncio.timeout(20):
        while not gauges:
            await asyncio.sleep(0.01)
        time.sleep(1.3)  # noqa: ASYNC251 (the stall)
        while gauges[-1] < 1.1:
            await asyncio.sleep(0.01)
        while gauges[-1] >= 1.1:
            await asyncio.sleep(0.01)
    measuring.cancel()
    with suppress(asyncio.CancelledError):
        await measuring
    assert "the event loop was blocked for 1." in caplog.text
