"""Parked streams, the dead letters of projectors. They are retried by the projector that takes over their partition, at
its start or when another one stops; after a rebuild; and on request.

A parked stream is freed when its rows have caught up with everything that projectors left out of it. The transaction
locks every checkpoint, so no projector leaves out more meanwhile; it may run beside live projectors, in any process.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from application.envelopes import Commit
from application.errors import StreamDamaged
from application.pipeline.projector import commits_after
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.read_db import (
    ParkedStream,
    ParkedStreams,
    ProjectionBatch,
    ProjectionStore,
    RowChanges,
    RowKeys,
    Rows,
)
from application.ports.system import Clock, Metrics, RowsMoved
from application.projections.batch import all_given, decode_all, fold_batch, row_keys_of
from application.projections.log_checks import require_same_log
from domain.ids import PostId

logger = logging.getLogger(__name__)

_STREAMS_A_PAGE = 100
_COMMITS_A_PAGE = 200


def _every_stream(_: PostId) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Retried:
    """`still` is None when the stream was freed, else how it is parked now."""

    post_id: PostId
    still: ParkedStream | None


class ParkedRetry:
    """`repair` rewrites from the log the rows of a post whose history is whole."""

    def __init__(
        self,
        *,
        store: ProjectionStore,
        parked_streams: ParkedStreams,
        log: CommitLog,
        past_events: PastEvents,
        codec: EventCodec,
        clock: Clock,
        metrics: Metrics,
        rows_moved: RowsMoved,
        repair: Callable[[PostId], Awaitable[object]],
    ) -> None:
        self._store = store
        self._log = log
        self._parked_streams = parked_streams
        self._past_events = past_events
        self._codec = codec
        self._clock = clock
        self._metrics = metrics
        self._rows_moved = rows_moved
        self._repair = repair

    async def retry_all(self, includes: Callable[[PostId], bool] = _every_stream) -> list[Retried]:
        """Every parked stream of the live generation, or those that it `includes`, once."""
        results: list[Retried] = []
        after: PostId | None = None
        while page := await self._parked_streams.parked(_STREAMS_A_PAGE, after):
            results += [await self.retry(parked.post_id) for parked in page if includes(parked.post_id)]
            after = page[-1].post_id
        return results

    async def retry_taken_over(self, includes: Callable[[PostId], bool] = _every_stream) -> None:
        """When a projector takes over streams: older code may have parked some that this code can read. Logs how many
        are left."""
        still = [retried for retried in await self.retry_all(includes) if retried.still is not None]
        if still:
            logger.warning("%d posts are still parked; `postlog parked list` has them", len(still))

    async def retry(self, post_id: PostId) -> Retried:
        """Resume the stream from the version of its rows, until it is freed or an event can't be projected again."""
        version = 0
        while (parked := await self._parked_streams.parked_stream(post_id)) is not None:
            commits = await commits_after(version, post_id, _COMMITS_A_PAGE, self._past_events, self._log)
            reached = await self._apply(parked, commits, version)
            if reached == version:
                break
            version = reached
        if parked is not None and parked.code == StreamDamaged.code:
            await self._repair(post_id)  # its rows may come from a commit that was corrected since
        return self._result(post_id, await self._parked_streams.parked_stream(post_id))

    async def _apply(self, parked: ParkedStream, commits: Sequence[Commit], after: int) -> int:
        """Apply a page of commits, the first that the log has after version `after`, and return the version that the
        rows have then. When there are none, and no more is waiting than when the log was read, the stream is freed:
        what was waiting has been removed from the log."""
        post_id = parked.post_id
        generation = (await self._store.live()).generation
        decoded = decode_all(commits, self._codec)
        row_keys = row_keys_of(decoded)
        reached = 0

        def fold(rows: Rows) -> RowChanges:
            nonlocal reached
            reached = rows.posts[post_id].version if post_id in rows.posts else 0
            if reached < after:  # a rebuild has swapped meanwhile
                return RowChanges()
            waits = [each.waiting_version for each in rows.parked.values()]
            if not commits and reached == after and waits == [parked.waiting_version]:
                return RowChanges(unparked=[post_id])
            changes = fold_batch(decoded, rows, self._clock.now(), unpark=True, lacks=all_given)
            reached = max((post.version for post in changes.posts), default=reached)
            return changes

        await self._store.project(ProjectionBatch(generation, (), RowKeys([post_id], row_keys.comments)), fold)
        self._rows_moved.notify()
        return reached

    def _result(self, post_id: PostId, parked: ParkedStream | None) -> Retried:
        if parked is None:
            logger.info("post %s is no longer parked", post_id)
            self._metrics.count("parked_streams_freed")
        return Retried(post_id, parked)


@dataclass(frozen=True, slots=True)
class RetrySummary:
    """`untried`: the time was up before all had been tried."""

    freed: int
    still: int
    untried: bool


class ParkedPosts:
    """For operators: which posts are parked, why, and retrying them."""

    def __init__(
        self, *, streams: ParkedStreams, retry: ParkedRetry, store: ProjectionStore, log: CommitLog, clock: Clock
    ) -> None:
        self._streams = streams
        self._retry = retry
        self._store = store
        self._log = log
        self._clock = clock

    async def page(self, limit: int = _STREAMS_A_PAGE) -> Sequence[ParkedStream]:
        """The first, by post id. Raises `ReadDbUnavailable`."""
        return await self._streams.parked(limit)

    async def retry(self, post_id: PostId) -> Retried:
        """Raises `Unavailable`, and `WrongLog` when the rows come from another log: nothing of this one may be written
        into them."""
        await self._require_same_log()
        return await self._retry.retry(post_id)

    async def retry_all(self, seconds: float) -> RetrySummary:
        """Each once, until so many seconds have passed. Raises as `retry`."""
        await self._require_same_log()
        until = self._clock.monotonic() + seconds
        results: list[Retried] = []
        after: PostId | None = None
        while page := await self._streams.parked(_STREAMS_A_PAGE, after):
            for parked in page:
                if self._clock.monotonic() >= until:
                    return _counted(results, untried=True)
                results.append(await self._retry.retry(parked.post_id))
            after = page[-1].post_id
        return _counted(results, untried=False)

    async def _require_same_log(self) -> None:
        live = await self._store.live()
        await require_same_log(live, (await self._store.checkpoints(live.generation)).values(), self._log)


def _counted(results: Sequence[Retried], *, untried: bool) -> RetrySummary:
    still = sum(1 for each in results if each.still is not None)
    return RetrySummary(len(results) - still, still, untried)
