"""A projector that follows the log itself by position: one checkpoint, number 0, no bus."""

from dataclasses import dataclass
from typing import Never

from application.envelopes import CommitEvents
from application.pipeline.backoff import Backoff
from application.pipeline.following import follow
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.ports.commit_log import CommitLog
from application.ports.metrics import Metrics
from application.ports.projection_store import Checkpoint, CheckpointMove
from application.projections.batching import at_most

_IDLE_SECONDS = 5.0


@dataclass(slots=True)
class _Standing:
    """Where this projector believes the rows are."""

    generation: int
    checkpoint: Checkpoint | None
    ready: bool
    fill_until: int

    @property
    def position(self) -> int:
        return self.checkpoint.position if self.checkpoint else 0


class LogFollower:
    """`batch_size` is how many commits one transaction takes at most."""

    def __init__(
        self, projector: Projector, parked: ParkedRetry, log: CommitLog, metrics: Metrics, batch_size: int
    ) -> None:
        self._projector = projector
        self._parked = parked
        self._log = log
        self._metrics = metrics
        self._batch_size = batch_size

    async def run(self) -> None:
        """Until cancelled. Raises `WrongLog`."""
        await follow(self._session, self._metrics)

    async def _session(self, backoff: Backoff) -> Never:
        standing = await self._open()
        await self._parked.retry_at_start()
        while True:
            commits = at_most(await self._log.read_events(standing.position, self._batch_size))
            if commits or standing.checkpoint is None:
                await self._apply(standing, commits)
            elif standing.ready:
                await self._log.wait(standing.position, _IDLE_SECONDS)
            if not standing.ready and standing.position >= standing.fill_until:
                await self._projector.mark_ready(standing.generation)
                standing.ready = True
            backoff.reset()

    async def _open(self) -> _Standing:
        live, checkpoints = await self._projector.open(partitions=1)
        return _Standing(live.generation, checkpoints.get(0), live.ready, await self._log.tip())

    async def _apply(self, standing: _Standing, commits: list[CommitEvents]) -> None:
        after = _checkpoint_behind(commits) or Checkpoint(partition=0, position=0)
        move = CheckpointMove(standing.checkpoint, after)
        await self._projector.apply(standing.generation, [move], commits, partitions=1)
        standing.checkpoint = after
        self._metrics.gauge("projector_position", after.position, partition="0")


def _checkpoint_behind(commits: list[CommitEvents]) -> Checkpoint | None:
    if not commits:
        return None
    last = commits[-1]
    return Checkpoint(partition=0, position=last.position, commit_position=last.position, commit_id=last.commit_id)
