"""Rebuild: fold the whole log into the idle slot of a read database, catch up, and swap, while everything runs.

It reads the log itself, in position order and in batches of bounded size, so its memory does not grow with the log.
Each batch is one transaction that records how far it is: a rebuild that was killed resumes from there. The next batch
is read and decoded while one is being written.

The swap is one transaction, too. It locks the live checkpoints, so projectors wait, reads from the log the few commits
that they are ahead of the build, applies them, and makes the build live. Readers see the old rows until it commits.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace

from application.envelopes import CommitEvents
from application.errors import RebuildCancelled, StoreUnavailable, Unavailable, WrongLog
from application.maintenance.progress import exclusive_build, relaxed_gc
from application.maintenance.rebuild_batches import COMMITS_A_READ, Batch, Batches, LogBatches, batch_of
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.generations import UNFINISHED, Build, BuildGone, BuildState, Generations, SwapInterrupted
from application.ports.read_db import ProjectionStore, RowChanges, RowKeys, Rows
from application.ports.system import Clock
from application.projections.batch import decode_all
from application.projections.log_checks import require_same_log
from application.projections.read_ahead import ReadAhead
from domain.errors import PostlogError

logger = logging.getLogger(__name__)

_CATCH_UP_SECONDS = 30.0
_SWAPS_REPEATED = 5


class Rebuild:
    """`batch_events` is about how many events one transaction takes. `batches` may come from other processes; None: the
    log is read and folded in this one. `retry_parked` is called after a swap: the new rows may have what the old ones
    lacked."""

    def __init__(
        self,
        *,
        log: CommitLog,
        store: ProjectionStore,
        generations: Generations,
        codec: EventCodec,
        clock: Clock,
        batch_events: int,
        retry_parked: Callable[[], Awaitable[object]],
        batches: Batches | None = None,
    ) -> None:
        self._log = log
        self._store = store
        self._generations = generations
        self._codec = codec
        self._clock = clock
        self._batches = batches or LogBatches(log, codec, clock, batch_events)
        self._retry_parked = retry_parked

    async def run(self, *, restart: bool = False, swap: bool = True) -> AsyncGenerator[Build]:
        """Build and swap; yields the build as it is at first, after each batch, and at last when it is LIVE. Without
        `swap` it ends when the build has caught up. An error is recorded with the build, which can be resumed. Raises
        `RebuildRunning`, `RebuildCancelled`, `WrongLog`, `Unavailable`.
        """
        async with exclusive_build(self._generations):
            build = await self._start(restart=restart)
            try:
                yield build
                if build.state is BuildState.EMPTYING:
                    build = await self._generations.empty(build, self._clock.now())
                with relaxed_gc():
                    async with aclosing(self._load(build)) as loading:
                        async for build in loading:
                            yield build
                if swap:
                    yield await self._swap(build)
            except BuildGone:
                raise RebuildCancelled("The rebuild was cancelled; the live rows are as they were.") from None
            except Exception as error:
                await self._record_failure(build, error)
                raise
        if swap:
            await self._retry_parked()

    async def _start(self, *, restart: bool) -> Build:
        log_id, tip = await self._log.log_id(), await self._log.tip()
        unfinished = await self._unfinished()
        if unfinished is not None and not restart and await self._is_of_this_log(unfinished, log_id):
            logger.info("resuming generation %d at position %d", unfinished.generation, unfinished.position)
            worked = unfinished.updated_at - unfinished.started_at
            now = self._clock.now()
            return replace(unfinished, target=tip, started_at=now - worked, updated_at=now, error=None)
        return await self._generations.begin(log_id, tip, self._clock.now())

    async def _unfinished(self) -> Build | None:
        builds = await self._generations.builds()
        return next((build for build in builds if build.state in UNFINISHED), None)

    async def _record_failure(self, build: Build, error: Exception) -> None:
        sentence = error.message if isinstance(error, PostlogError) else f"{type(error).__name__}: {error}"
        try:
            await self._generations.record_failure(build, sentence)
        except Unavailable:
            logger.warning("the read database does not answer, so why the rebuild stopped could not be recorded in it")

    async def _is_of_this_log(self, build: Build, log_id: str) -> bool:
        if build.log_id != log_id:
            return False
        if not build.position:
            return True
        found = await self._log.read(build.position - 1, 1)
        return bool(found) and found[0].commit_id == build.commit_id

    async def _load(self, build: Build) -> AsyncGenerator[Build]:
        """Until a batch reaches the log's end. The few commits that come while that one is written are the swap's."""
        async with aclosing(self._batches.after(build.position)) as batches, ReadAhead[Batch | None]() as ahead:
            ahead.begin(_next(batches))
            while (batch := await ahead.result()) is not None:
                if not batch.is_last:
                    ahead.begin(_next(batches))
                after = self._after(build, batch)
                await self._generations.load(build, after, batch.row_keys, batch.fold)
                build = after
                yield build
                if batch.is_last:
                    return

    def _after(self, build: Build, batch: Batch) -> Build:
        return replace(
            build,
            position=batch.position,
            commit_id=batch.commit_id,
            target=max(build.target, batch.position),
            events=build.events + batch.events,
            updated_at=self._clock.now(),
        )

    async def _swap(self, build: Build) -> Build:
        """Repeated when the database ends the transaction, as after a deadlock."""
        for _ in range(_SWAPS_REPEATED):
            with suppress(SwapInterrupted):
                return await self._swap_once(build)
        return await self._swap_once(build)

    async def _swap_once(self, build: Build) -> Build:
        """While the live checkpoints are locked: the few commits that came since the last batch."""
        keep = await self._live_rows_are_of_this_log()
        async with self._generations.swap(build, keep_checkpoints=keep) as swap:
            until = max([checkpoint.position for checkpoint in swap.checkpoints.values()], default=0)
            commits = await self._catch_up(build.position, until)
            if commits:
                batch = batch_of(await asyncio.to_thread(decode_all, commits, self._codec), self._clock)
                done, row_keys, fold = self._after(build, batch), batch.row_keys, batch.fold
            else:
                done, row_keys, fold = replace(build, updated_at=self._clock.now()), RowKeys((), ()), _no_changes
            live = await swap.finish(done, row_keys, fold)
        return replace(done, state=BuildState.LIVE, generation=live.generation, slot=live.slot)

    async def _live_rows_are_of_this_log(self) -> bool:
        live = await self._store.live()
        checkpoints = await self._store.checkpoints(live.generation)
        try:
            await require_same_log(live, checkpoints.values(), self._log)
        except WrongLog:
            return False
        return True

    async def _catch_up(self, after: int, until: int) -> list[CommitEvents]:
        """Everything behind `after` up to `until`, within bounded time: projectors wait meanwhile."""
        commits: list[CommitEvents] = []
        try:
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                while after < until:
                    page = await self._log.read_events(after, min(COMMITS_A_READ, until - after))
                    if not page:
                        if await self._log.proven_tip() > after:  # a read right after a failover may be stale
                            continue
                        raise WrongLog(f"The live rows have seen position {until}, but the log ends at {after}.")
                    commits += page
                    after = page[-1].position
        except TimeoutError:
            raise StoreUnavailable(
                f"The log did not answer within {_CATCH_UP_SECONDS:g} s while the rows were to be swapped; nothing was "
                "swapped. Run the rebuild again: it resumes from where it stopped."
            ) from None
        return commits


async def _next(batches: AsyncGenerator[Batch]) -> Batch | None:
    return await anext(batches, None)


def _no_changes(_: Rows) -> RowChanges:
    return RowChanges()
