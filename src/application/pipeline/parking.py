"""Try parked streams again: at every start, after a rebuild, and on request.

A parked stream is freed when its rows have caught up with all that projectors have left out of it. The transaction
locks every checkpoint, so no projector leaves out more in the meantime; it may run beside live projectors, in any
process.

Parked posts for operators: which wait, why, and trying them again.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from application.envelopes import Commit
from application.errors import StreamDamaged
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


@dataclass(frozen=True, slots=True)
class Retried:
    """`still` is None when the stream was freed, else how it is parked now."""

    post_id: PostId
    still: ParkedStream | None


class ParkedRetry:
    """`repair` writes the rows of a post whose history is whole anew from the log."""

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

    async def retry_all(self) -> list[Retried]:
        """Every parked stream of the live generation, once."""
        results: list[Retried] = []
        after: PostId | None = None
        while page := await self._parked_streams.parked(_STREAMS_A_PAGE, after):
            results += [await self.retry(parked.post_id) for parked in page]
            after = page[-1].post_id
        return results

    async def retry_at_start(self) -> None:
        """Of a projector: whoever reads its log is told what is left, too."""
        still = [retried for retried in await self.retry_all() if retried.still is not None]
        if still:
            logger.warning("%d posts are still parked; `postlog parked list` has them", len(still))

    async def retry(self, post_id: PostId) -> Retried:
        """Go on with the stream where its rows stand, until it is freed or something can't be projected again."""
        version = 0
        while (parked := await self._parked_streams.parked_stream(post_id)) is not None:
            commits = await self._what_follows(post_id, version)
            reached = await self._apply(parked, commits, version)
            if reached == version:
                break
            version = reached
        if parked is not None and parked.code == StreamDamaged.code:
            await self._repair(post_id)  # its rows may come from a commit that was put right since
        return self._result(post_id, await self._parked_streams.parked_stream(post_id))

    async def _what_follows(self, post_id: PostId, version: int) -> Sequence[Commit]:
        """[] only when the log has nothing, and not because a read straight after a failover lags."""
        commits = await self._past_events.read_stream(post_id, version, _COMMITS_A_PAGE)
        if not commits:
            await self._log.proven_tip()
            commits = await self._past_events.read_stream(post_id, version, _COMMITS_A_PAGE)
        return commits

    async def _apply(self, parked: ParkedStream, commits: Sequence[Commit], after: int) -> int:
        """Apply a page of commits, all that the log has behind version `after` or the first of them, and answer the
        version that the rows have then. When there are none, and no more waits than when the log was read, nothing
        waits: what did was removed from the log."""
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
            logger.info("post %s is not parked any more", post_id)
            self._metrics.count("parked_streams_freed")
        return Retried(post_id, parked)


_POSTS_A_PAGE = 100


@dataclass(frozen=True, slots=True)
class RetrySummary:
    """`untried` are left because the time was up."""

    freed: int
    still: int
    untried: bool


class ParkedPosts:
    def __init__(
        self, *, streams: ParkedStreams, retry: ParkedRetry, store: ProjectionStore, log: CommitLog, clock: Clock
    ) -> None:
        self._streams = streams
        self._retry = retry
        self._store = store
        self._log = log
        self._clock = clock

    async def some(self, limit: int = _POSTS_A_PAGE) -> Sequence[ParkedStream]:
        """By post id. Raises `ReadDbUnavailable`."""
        return await self._streams.parked(limit)

    async def retry(self, post_id: PostId) -> Retried:
        """Raises `WrongLog` when the rows come from another log: nothing of this one may go into them. And
        `Unavailable`."""
        await self._require_match()
        return await self._retry.retry(post_id)

    async def retry_all(self, seconds: float) -> RetrySummary:
        """Each once, until so many seconds have passed. Raises as `retry`."""
        await self._require_match()
        until = self._clock.monotonic() + seconds
        results: list[Retried] = []
        after: PostId | None = None
        while page := await self._streams.parked(_POSTS_A_PAGE, after):
            for parked in page:
                if self._clock.monotonic() >= until:
                    return _counted(results, untried=True)
                results.append(await self._retry.retry(parked.post_id))
            after = page[-1].post_id
        return _counted(results, untried=False)

    async def _require_match(self) -> None:
        live = await self._store.live()
        await require_same_log(live, (await self._store.checkpoints(live.generation)).values(), self._log)


def _counted(results: Sequence[Retried], *, untried: bool) -> RetrySummary:
    still = sum(1 for each in results if each.still is not None)
    return RetrySummary(len(results) - still, still, untried)
