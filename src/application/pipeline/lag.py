"""How far the rows, and the bus, are behind the log, sampled from outside, so that projectors that are stuck or gone
show too. A server that is unavailable leaves the other gauges right: a log that grows while the read database is away
shows as lag. A gauge that could not be sampled for `_GOOD_SECONDS` is removed: its last value would be stale data.
"""

import asyncio
from collections.abc import Awaitable, Callable

from application.envelopes import Commit
from application.errors import Unavailable
from application.log_growth import LogGrowth
from application.ports.commit_log import CommitLog
from application.ports.generations import UNFINISHED, Generations
from application.ports.post_views import PostViews
from application.ports.relay_state import RelayState
from application.ports.system import Clock, Metrics

_SECONDS = 2.0
_GOOD_SECONDS = 15.0


class RowsLag:
    """Gauges of one read database, the same whichever projector measures them: `projector_lag` in commits,
    `projector_lag_seconds` for how long the rows could have had the oldest commit that they lack, `parked_streams`,
    `rows_generation`, and how far the newest build is, in whichever process it runs."""

    def __init__(
        self, views: PostViews, generations: Generations, log: CommitLog, clock: Clock, metrics: Metrics
    ) -> None:
        self._views = views
        self._generations = generations
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._position: int | None = None
        self._growth = LogGrowth()

    async def run(self) -> None:
        """Until cancelled."""
        await _sample_forever(self._sample_rows, self._sample_log, self._sample_build)

    async def _sample_rows(self) -> None:
        stamp = await self._views.stamp()
        self._position = stamp.position
        self._metrics.gauge("parked_streams", stamp.parked, good_for=_GOOD_SECONDS)
        self._metrics.gauge("rows_generation", stamp.generation, good_for=_GOOD_SECONDS)

    async def _sample_log(self) -> None:
        tip = await self._log.tip()
        self._growth.observe(tip, self._clock.monotonic())
        if self._position is None:
            return
        self._growth.forget(self._position)
        lacking = await self._log.read(self._position, 1) if tip > self._position else []
        lag, seconds = (tip - self._position, self._age(lacking[0])) if lacking else (0, 0.0)
        self._metrics.gauge("projector_lag", lag, good_for=_GOOD_SECONDS)
        self._metrics.gauge("projector_lag_seconds", seconds, good_for=_GOOD_SECONDS)

    async def _sample_build(self) -> None:
        for build in await self._generations.builds(1):
            self._metrics.gauge("rebuild_position", build.position, good_for=_GOOD_SECONDS)
            self._metrics.gauge("rebuild_target", build.target, good_for=_GOOD_SECONDS)
            self._metrics.gauge("rebuild_unfinished", build.state in UNFINISHED, good_for=_GOOD_SECONDS)

    def _age(self, commit: Commit) -> float:
        recorded = (self._clock.now() - commit.recorded_at).total_seconds()
        return self._growth.age(commit.position, recorded, self._clock.monotonic())


class BusLag:
    """The gauge `relay_lag`: commits that the bus has not acknowledged, by the checkpoint of the active relay."""

    def __init__(self, relay_state: RelayState, log: CommitLog, metrics: Metrics) -> None:
        self._relay_state = relay_state
        self._log = log
        self._metrics = metrics

    async def run(self) -> None:
        """Until cancelled."""
        await _sample_forever(self._sample)

    async def _sample(self) -> None:
        state = await self._relay_state.state()
        published = state.position if state else 0
        lag = max(0, await self._log.tip() - published)
        self._metrics.gauge("relay_lag", lag, good_for=_GOOD_SECONDS)


async def _sample_forever(*samples: Callable[[], Awaitable[None]]) -> None:
    while True:
        for sample in samples:
            try:
                await sample()
            except Unavailable:
                continue  # readiness and the log report it; the last values stay for a while
        await asyncio.sleep(_SECONDS)
