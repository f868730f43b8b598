"""Applies commits to the live rows, batch by batch, each with its checkpoints in one transaction.

Where the commits come from is up to its callers: the log itself (`log_consumer`) or the bus (`bus_consumer`).
"""

import asyncio
import logging
from collections.abc import Sequence

from application.envelopes import AnyCommit, Commit
from application.errors import WrongLog
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.read_db import (
    Checkpoint,
    CheckpointMove,
    LiveGeneration,
    ParkedStream,
    ProjectionBatch,
    ProjectionStore,
    RowChanges,
    Rows,
)
from application.ports.system import Clock, Journal, Metrics, RowsMoved
from application.projections.batch import (
    DecodedCommit,
    MissingCommits,
    count_events,
    decode_all,
    fold_batch,
    row_keys_of,
)
from application.projections.log_checks import require_same_log
from domain.ids import PostId

logger = logging.getLogger(__name__)

_COMMITS_A_GAP = 200
_EVENTS_AT_ONCE = 500
_PARKED_SHOWN = 10


class Projector:
    def __init__(
        self,
        *,
        store: ProjectionStore,
        log: CommitLog,
        past_events: PastEvents,
        codec: EventCodec,
        clock: Clock,
        metrics: Metrics,
        rows_moved: RowsMoved,
        journal: Journal,
    ) -> None:
        self._store = store
        self._log = log
        self._past_events = past_events
        self._codec = codec
        self._clock = clock
        self._metrics = metrics
        self._rows_moved = rows_moved
        self._journal = journal

    async def open(self, partitions: int) -> tuple[LiveGeneration, dict[int, Checkpoint]]:
        """The live generation and its checkpoints; claims the database for this log. Raises `WrongLog` when it belongs
        to another log, or to this one before it was restored to an older state."""
        log_id = await self._log.log_id()
        live = await self._store.live()
        if live.log_id is not None and live.partitions != partitions:
            logger.warning(
                "read database repartitioned from %d to %d; if this repeats, projectors with different buses share it: "
                "give all of them the same bus settings",
                live.partitions,
                partitions,
            )
        if live.log_id is None or live.partitions != partitions:
            live = await self._store.claim(live.generation, log_id, partitions)
        checkpoints = await self._store.checkpoints(live.generation)
        await require_same_log(live, checkpoints.values(), self._log)
        return live, checkpoints

    async def database_id(self) -> str:
        """Raises `ReadDbUnavailable`."""
        return await self._store.database_id()

    async def apply(
        self,
        generation: int,
        moves: Sequence[CheckpointMove],
        commits: Sequence[AnyCommit],
        partitions: int | None = None,
    ) -> None:
        """As `apply_decoded`."""
        await self.apply_decoded(generation, moves, await self.decode(commits), partitions)

    async def apply_decoded(
        self,
        generation: int,
        moves: Sequence[CheckpointMove],
        decoded: Sequence[DecodedCommit],
        partitions: int | None = None,
    ) -> None:
        """One transaction. Earlier commits that the rows lack are read from the log first. `partitions` is the number
        by which the moves divide the posts. Raises `CheckpointMoved`, `ReadDbUnavailable`, `StoreUnavailable`.
        """
        batch = ProjectionBatch(generation, moves, row_keys_of(decoded), partitions)
        started = self._clock.monotonic()
        parked: list[ParkedStream] = []
        gaps: set[tuple[PostId, int]] = set()

        def lacks(post_id: PostId, version: int) -> bool:
            return (post_id, version) in gaps

        def fold(rows: Rows) -> RowChanges:
            changes = fold_batch(decoded, rows, self._clock.now(), lacks=lacks)
            parked[:] = [stream for stream in changes.parked if stream.post_id not in rows.parked]
            return changes

        while True:
            try:
                await self._store.project(batch, fold)
                break
            except MissingCommits as missing:
                gaps |= await self._fill_gaps(generation, moves, missing, partitions)
        for move in moves:
            after = move.before.position if move.before else 0
            self._journal.record_projected(move.after.partition, after, move.after.position)
        self._report(decoded, max((move.after.position for move in moves), default=None), started)
        self._report_parked(parked)

    async def mark_ready(self, generation: int) -> None:
        await self._store.mark_ready(generation)
        self._rows_moved.notify()

    async def _fill_gaps(
        self, generation: int, moves: Sequence[CheckpointMove], missing: MissingCommits, partitions: int | None
    ) -> set[tuple[PostId, int]]:
        """Apply a page of what the rows of these posts lack. The checkpoints don't move: they are only locked and
        checked. Returns the posts, each with its version, after which the log itself has a gap."""
        unmoved = [CheckpointMove(move.before, move.before) for move in moves if move.before is not None]
        gaps: set[tuple[PostId, int]] = set()
        for post_id, version in missing.after.items():
            commits = await commits_after(version, post_id, _COMMITS_A_GAP, self._past_events, self._log)
            if commits and commits[0].version > version + 1:
                gaps.add((post_id, version))
                continue
            if not commits:
                raise WrongLog(
                    f"The read database has post {post_id} at version {version}, and the log has nothing after that, "
                    "although later events came: the log was restored to an older state, or is another one."
                )
            logger.warning("read %d missing commits of post %s from the log", len(commits), post_id)
            self._metrics.count("projector_healed_commits", len(commits))
            await self.apply(generation, unmoved, commits, partitions)
        return gaps

    async def decode(self, commits: Sequence[AnyCommit]) -> list[DecodedCommit]:
        """Many events are decoded in a thread, so that this process can answer requests meanwhile."""
        if sum(len(commit.events) for commit in commits) < _EVENTS_AT_ONCE:
            return decode_all(commits, self._codec)
        return await asyncio.to_thread(decode_all, commits, self._codec)

    def _report(self, decoded: Sequence[DecodedCommit], position: int | None, started: float) -> None:
        self._rows_moved.notify(position)
        self._metrics.observe("projector_batch_seconds", self._clock.monotonic() - started)
        self._metrics.count("projector_commits", len(decoded))
        self._metrics.count("projector_events", count_events(decoded))

    def _report_parked(self, parked: Sequence[ParkedStream]) -> None:
        for stream in parked[:_PARKED_SHOWN]:
            logger.warning(
                "post %s is parked from version %d at position %d: %s",
                stream.post_id,
                stream.version,
                stream.position,
                stream.reason,
            )
        if len(parked) > _PARKED_SHOWN:
            logger.warning("%d more posts are parked; `postlog parked list` has them", len(parked) - _PARKED_SHOWN)
        if parked:
            self._metrics.count("streams_parked", len(parked))


async def commits_after(
    version: int, post_id: PostId, limit: int, past_events: PastEvents, log: CommitLog
) -> Sequence[Commit]:
    """[] only when the log has none, and not because a read straight after a failover lags."""
    commits = await past_events.read_stream(post_id, version, limit)
    if not commits:
        await log.proven_tip()
        commits = await past_events.read_stream(post_id, version, limit)
    return commits
