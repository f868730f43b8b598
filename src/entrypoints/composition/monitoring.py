"""Says when something that this process needs stops answering, and when it answers again; and measures how long the
event loop was kept from its work.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Never

from application.ports.provisioning import Probe, ProbeResult
from application.ports.system import Metrics
from entrypoints.http.health import run_probes

_SECONDS_TO_NEXT_LOOK = 1.0
"""At the start, which a look should not slow down, and after something did not answer."""

_SECONDS_BETWEEN_LOOKS = 5.0

_IN_A_ROW = 2
"""Looks without an answer before it is told: one may come from a machine that is busy."""

logger = logging.getLogger(__name__)


class HealthLogger:
    """`probe_seconds` is how long one probe may take. Each change is told once. The process is ready without what the
    `helpful` probes ask for, so those are told of in other words."""

    def __init__(self, probes: Sequence[Probe], probe_seconds: float, helpful: Sequence[Probe] = ()) -> None:
        self._probes = [*probes, *helpful]
        self._helpful = {probe.name for probe in helpful}
        self._probe_seconds = probe_seconds
        self._silent: Counter[str] = Counter()

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(_SECONDS_TO_NEXT_LOOK)
        while True:
            await self.look()
            await asyncio.sleep(_SECONDS_TO_NEXT_LOOK if self._silent else _SECONDS_BETWEEN_LOOKS)

    async def look(self) -> None:
        for result in await run_probes(self._probes, self._probe_seconds):
            if result.ok:
                self._note_answer(result)
            else:
                self._note_silence(result)

    def _note_answer(self, result: ProbeResult) -> None:
        if self._silent.pop(result.name, 0) >= _IN_A_ROW:
            back = "back" if result.name in self._helpful else "ready again"
            logger.info("%s, %s: %s", back, result.name, result.detail)

    def _note_silence(self, result: ProbeResult) -> None:
        self._silent[result.name] += 1
        if self._silent[result.name] == _IN_A_ROW:
            gone = "away" if result.name in self._helpful else "not ready"
            logger.warning("%s, %s: %s", gone, result.name, result.detail)


_SECONDS_BETWEEN_MEASUREMENTS = 0.1
_WINDOW_SECONDS = 60.0
_WARN_SECONDS = 1.0


class LoopStalls:
    """Reports as `event_loop_stall_seconds` the longest time within one or two minutes for which the event loop could
    run nothing else: as long as that, every request of this process waited. `window` is in seconds.
    """

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
