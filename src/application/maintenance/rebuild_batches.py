"""What a rebuild writes in one transaction: a part of the log, read, decoded and ready to be folded.

The batches of a rebuild, folded by several workers: each has a share of the posts, reads the commits of these posts,
and folds them. All of them read the same positions, so a batch is whole, and is written in one transaction as ever.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import chain
from typing import NamedTuple, Protocol

from application.envelopes import CommitEvents
from application.errors import LogDamaged
from application.maintenance.progress import relaxed_gc
from application.ports.commit_log import CommitLog, Shard
from application.ports.event_codec import EventCodec
from application.ports.read_db import Fold, RowChanges, RowKeys, Rows
from application.ports.system import Clock
from application.projections.batch import DecodedCommit, all_given, decode_all, fold_batch, row_keys_of
from application.projections.log_checks import LogGaps
from application.projections.read_ahead import ReadAhead

COMMITS_A_READ = 5_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything up to `position`, where the commit `commit_id` stands. `is_last`: the log ended there when it was
    read."""

    position: int
    commit_id: str
    events: int
    row_keys: RowKeys
    fold: Fold
    is_last: bool


class Batches(Protocol):
    def after(self, position: int) -> AsyncGenerator[Batch]:
        """The batches behind `position`, in order, up to the log's end. The next one may be asked for while the fold of
        one still waits to be called. Raises `StoreUnavailable`."""
        ...


class LogBatches:
    """Read and folded in this process. `batch_events` is about how many events a batch has."""

    def __init__(self, log: CommitLog, codec: EventCodec, clock: Clock, batch_events: int) -> None:
        self._log = log
        self._codec = codec
        self._clock = clock
        self._batch_events = batch_events

    async def after(self, position: int) -> AsyncGenerator[Batch]:
        batch: list[DecodedCommit] = []
        events = 0
        async with aclosing(self._pages(position)) as pages:
            async for page in pages:
                for each in await asyncio.to_thread(decode_all, page, self._codec):
                    more = len(each.commit.events)
                    if batch and events + more > self._batch_events:
                        yield batch_of(batch, self._clock)
                        batch, events = [], 0
                    batch.append(each)
                    events += more
        if batch:
            yield batch_of(batch, self._clock, is_last=True)

    async def _pages(self, after: int) -> AsyncGenerator[Sequence[CommitEvents]]:
        """The next is read while one is decoded. The last one reaches the tip as it was before it was read: to wait for
        one that finds nothing would be to wait for people to stop writing."""
        async with ReadAhead[tuple[Sequence[CommitEvents], int]]() as ahead:
            ahead.begin(self._page(after))
            while True:
                page, tip = await ahead.result()
                is_last = not page or page[-1].position >= tip
                if not is_last:
                    ahead.begin(self._page(page[-1].position))
                yield page
                if is_last:
                    return

    async def _page(self, after: int) -> tuple[Sequence[CommitEvents], int]:
        tip = await self._log.tip()
        return await self._log.read_events(after, min(COMMITS_A_READ, self._batch_events)), tip


def batch_of(decoded: Sequence[DecodedCommit], clock: Clock, *, is_last: bool = False) -> Batch:
    """There must be a commit."""
    last = decoded[-1].commit

    def fold(rows: Rows) -> RowChanges:
        return fold_batch(decoded, rows, clock.now(), lacks=all_given)

    events = sum([len(commit.events) for commit, _ in decoded])
    return Batch(last.position, last.commit_id, events, row_keys_of(decoded), fold, is_last)


class ShardBatch(NamedTuple):
    """What a share's part of a batch holds, and touches."""

    commits: int
    events: int
    row_keys: RowKeys


class ShardWorker(Protocol):
    """Does what it is asked for in the order in which it was asked, and keeps a batch until the one after the next is
    read."""

    async def read(self, after: int, until: int) -> int:
        """Read the share's commits behind `after`, up to `until` or to as many events as a batch may have; up to which
        position that is. Raises `StoreUnavailable`."""
        ...

    async def cut(self, after: int, until: int) -> ShardBatch:
        """Leave out of what was read behind `after` what stands behind `until`."""
        ...

    def fold(self, after: int, rows: Rows, now: datetime) -> "Future[RowChanges]":
        """What was read behind `after`, on the rows that it touches. Asked for from any thread."""
        ...


class ShardReader:
    """The work of a `ShardWorker` on one share."""

    def __init__(self, log: CommitLog, codec: EventCodec, shard: Shard, batch_events: int) -> None:
        self._log = log
        self._codec = codec
        self._shard = shard
        self._batch_events = batch_events
        self._read: dict[int, list[DecodedCommit]] = {}

    async def read(self, after: int, until: int) -> int:
        kept = sorted(self._read)[-1:]
        self._read = {before: self._read[before] for before in kept if before < after}
        decoded = self._read[after] = []
        position, events = after, 0
        with relaxed_gc():
            while position < until and events < self._batch_events:
                commits = await self._log.read_shard(position, until, self._shard)
                decoded += await asyncio.to_thread(decode_all, commits, self._codec)
                events += sum([len(commit.events) for commit in commits])
                position = commits[-1].position if commits else until
        return position

    def cut(self, after: int, until: int) -> ShardBatch:
        decoded = [each for each in self._read[after] if each.commit.position <= until]
        self._read[after] = decoded
        return ShardBatch(len(decoded), sum([len(commit.events) for commit, _ in decoded]), row_keys_of(decoded))

    def fold(self, after: int, rows: Rows, now: datetime) -> RowChanges:
        return fold_batch(self._read[after], rows, now, lacks=all_given)


class ShardedBatches:
    """One worker a share. `batch_events` is about how many events a batch has."""

    def __init__(self, log: CommitLog, clock: Clock, workers: Sequence[ShardWorker], batch_events: int) -> None:
        self._log = log
        self._clock = clock
        self._workers = workers
        self._batch_events = batch_events

    async def after(self, position: int) -> AsyncGenerator[Batch]:
        while (tip := await self._log.tip()) > position:
            until = min(position + self._batch_events, tip)
            until = min(await asyncio.gather(*[worker.read(position, until) for worker in self._workers]))
            cuts = await asyncio.gather(*[worker.cut(position, until) for worker in self._workers])
            if sum(cut.commits for cut in cuts) != until - position:
                gap = await LogGaps(self._log).find(thorough=True)
                raise LogDamaged(gap.sentence if gap else "The log changed while it was read; begin again.")
            folds_begun = asyncio.Event()
            [last] = await self._log.read_events(until - 1, 1)
            yield Batch(
                position=until,
                commit_id=last.commit_id,
                events=sum(cut.events for cut in cuts),
                row_keys=_together([cut.row_keys for cut in cuts]),
                fold=self._fold(position, folds_begun),
                is_last=until == tip,
            )
            await folds_begun.wait()  # or the workers would read the next batch first, and its rows wait for this one
            position = until

    def _fold(self, after: int, begun: asyncio.Event) -> Fold:
        loop = asyncio.get_running_loop()

        def fold(rows: Rows) -> RowChanges:
            now = self._clock.now()
            parts = _divided(rows, len(self._workers))
            folding = [worker.fold(after, part, now) for worker, part in zip(self._workers, parts, strict=True)]
            loop.call_soon_threadsafe(begun.set)
            return _joined([each.result() for each in folding])

        return fold


def _divided(rows: Rows, shards: int) -> list[Rows]:
    """By the share that each post belongs to."""
    return [
        Rows(
            {post_id: post for post_id, post in rows.posts.items() if Shard.of(post_id, shards) == shard},
            {key: comment for key, comment in rows.comments.items() if Shard.of(key[0], shards) == shard},
            {post_id: parked for post_id, parked in rows.parked.items() if Shard.of(post_id, shards) == shard},
        )
        for shard in Shard.all(shards)
    ]


def _joined(parts: Sequence[RowChanges]) -> RowChanges:
    return RowChanges(
        **{field.name: list(chain(*[getattr(part, field.name) for part in parts])) for field in fields(RowChanges)}
    )


def _together(parts: Sequence[RowKeys]) -> RowKeys:
    return RowKeys([post for part in parts for post in part.posts], [key for part in parts for key in part.comments])
