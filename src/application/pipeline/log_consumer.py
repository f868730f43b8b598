"""A projector that reads the log itself by position: one checkpoint, number 0, no bus."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Never

from application.backoff import Backoff
from application.envelopes import AnyCommit
from application.pipeline.consumer_loop import gauge_partitions, run_sessions
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.ports.commit_log import CommitLog
from application.ports.read_db import Checkpoint, CheckpointMove
from application.ports.system import Metrics
from application.projections.batch import C, DecodedCommit, at_most
from application.projections.read_ahead import ReadAhead, is_worth_reading_ahead

_IDLE_SECONDS = 5.0
_FIRST_LIMIT = 1_000


@dataclass(slots=True)
class _RowsState:
    """What this projector believes of the rows."""

    generation: int
    checkpoint: Checkpoint | None
    ready: bool
    fill_until: int

    @property
    def position(self) -> int:
        return self.checkpoint.position if self.checkpoint else 0


class LogConsumer:
    """`batch_size` is how many commits one transaction takes at most."""

    def __init__(
        self, projector: Projector, parked: ParkedRetry, log: CommitLog, metrics: Metrics, batch_size: int
    ) -> None:
        self._projector = projector
        self._parked = parked
        self._log = log
        self._metrics = metrics
        self._batch_size = batch_size
        self._limit = min(_FIRST_LIMIT, batch_size)

    async def run(self) -> None:
        """Until cancelled. Raises `WrongLog`."""
        await run_sessions(self._session, self._metrics)

    async def _session(self, backoff: Backoff) -> Never:
        rows = await self._open()
        await self._parked.retry_taken_over()
        async with ReadAhead[list[DecodedCommit]]() as ahead:
            ahead.begin(self._read(rows.position))
            while True:
                page = await ahead.result()
                gauge_partitions(self._metrics, assigned=1, partitions=1)
                continues = is_worth_reading_ahead([commit for commit, _ in page], self._batch_size)
                if continues:
                    ahead.begin(self._read(page[-1][0].position))
                if page or rows.checkpoint is None:
                    await self._apply(rows, page)
                if not rows.ready and rows.position >= rows.fill_until:
                    await self._projector.mark_ready(rows.generation)
                    rows.ready = True
                if not continues:
                    if rows.ready:
                        await self._log.wait(rows.position, _IDLE_SECONDS)
                    ahead.begin(self._read(rows.position))
                backoff.reset()

    async def _read(self, after: int) -> list[DecodedCommit]:
        return await self._projector.decode(self._taken(await self._log.read_events(after, self._limit)))

    def _taken(self, page: Sequence[C]) -> list[C]:
        """For one transaction. More are read the next time, unless these are so long that some were read in vain."""
        taken = at_most(page)
        self._limit = len(taken) if len(taken) < len(page) else min(2 * self._limit, self._batch_size)
        return taken

    async def _open(self) -> _RowsState:
        live, checkpoints = await self._projector.open(partitions=1)
        return _RowsState(live.generation, checkpoints.get(0), live.ready, await self._log.tip())

    async def _apply(self, rows: _RowsState, page: Sequence[DecodedCommit]) -> None:
        after = _checkpoint_at(page[-1][0]) if page else Checkpoint(partition=0, position=0)
        move = CheckpointMove(rows.checkpoint, after)
        await self._projector.apply_decoded(rows.generation, [move], page, partitions=1)
        rows.checkpoint = after
        self._metrics.gauge("projector_position", after.position, partition="0")


def _checkpoint_at(last: AnyCommit) -> Checkpoint:
    return Checkpoint(partition=0, position=last.position, commit_position=last.position, commit_id=last.commit_id)
