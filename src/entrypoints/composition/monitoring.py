"""Logs when a dependency of this process stops responding, and when it responds again; and measures how long the event
loop was blocked, and how much room is left on a disk."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Never

from application.ports.provisioning import Probe, ProbeResult
from application.ports.system import Metrics
from entrypoints.http.health import run_probes

_SECONDS_BETWEEN_PROBES_OF_A_FAILURE = 1.0
"""Also at the start, which probes should not slow down."""

_SECONDS_BETWEEN_PROBES = 5.0

_FAILURES_IN_A_ROW = 2
"""Before it is logged: a single one may come from a busy machine."""

logger = logging.getLogger(__name__)


class HealthLogger:
    """Logs each change once, and exports each result as the gauge `health_check_ok`. `probe_seconds` limits one probe.
    The process is ready also while a `helpful` probe fails, so these are logged in other words."""

    def __init__(
        self, probes: Sequence[Probe], probe_seconds: float, metrics: Metrics, helpful: Sequence[Probe] = ()
    ) -> None:
        self._probes = [*probes, *helpful]
        self._helpful = {probe.name for probe in helpful}
        self._probe_seconds = probe_seconds
        self._metrics = metrics
        self._failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(_SECONDS_BETWEEN_PROBES_OF_A_FAILURE)
        while True:
            await self.probe()
            await asyncio.sleep(_SECONDS_BETWEEN_PROBES_OF_A_FAILURE if self._failures else _SECONDS_BETWEEN_PROBES)

    async def probe(self) -> None:
        for result in await run_probes(self._probes, self._probe_seconds):
            self._metrics.gauge("health_check_ok", result.ok, check=result.name)
            if result.ok:
                self._record_success(result)
            else:
                self._record_failure(result)

    def _record_success(self, result: ProbeResult) -> None:
        if self._failures.pop(result.name, 0) >= _FAILURES_IN_A_ROW:
            back = "back" if result.name in self._helpful else "ready again"
            logger.info("%s, %s: %s", back, result.name, result.detail)

    def _record_failure(self, result: ProbeResult) -> None:
        self._failures[result.name] += 1
        if self._failures[result.name] == _FAILURES_IN_A_ROW:
            gone = "away" if result.name in self._helpful else "not ready"
            logger.warning("%s, %s: %s", gone, result.name, result.detail)


_SECONDS_BETWEEN_MEASUREMENTS = 0.1
_WINDOW_SECONDS = 60.0
_WARN_SECONDS = 1.0


class LoopStalls:
    """Reports as `event_loop_stall_seconds` the longest time in the last one to two windows for which the event loop
    was blocked, and every request of this process waited. `window` is in seconds."""

    def __init__(self, metrics: Metrics, window: float = _WINDOW_SECONDS) -> None:
        self._metrics = metrics
        self._window = window

    async def run(self) -> Never:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        before = longest = 0.0
        begun = at = loop.time()
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_MEASUREMENTS)
            now = loop.time()
            stall = max(0.0, now - at - _SECONDS_BETWEEN_MEASUREMENTS)
            at = now
            if stall >= _WARN_SECONDS:
                logger.warning("the event loop was blocked for %.1f s; every request waited", stall)
            if now - begun >= self._window:
                before, longest, begun = longest, 0.0, now
            longest = max(longest, stall)
            self._metrics.gauge("event_loop_stall_seconds", round(max(before, longest), 4))


_SECONDS_BETWEEN_LOOKS_AT_DISKS = 15.0


async def measure_disks(disks: Sequence[Probe]) -> Never:
    """Until cancelled. The probes export what they find."""
    while True:
        for disk in disks:
            await disk.probe()
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS_AT_DISKS)
