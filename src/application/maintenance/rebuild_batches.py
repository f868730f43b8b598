"""What a rebuild writes in one transaction: a part of the log, read, decoded and ready to be folded.

`LogBatches` reads and folds in this process. `ShardedBatches` divides the work among several workers: each reads and
folds the commits of one shard of the posts. All of them read the same positions, so together they make one batch, which
one process writes in one transaction.
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
from application.projections.batch import (
    DecodedCommit,
    all_given,
    count_events,
    decode_all,
    fold_batch,
    row_keys_of,
    weight_of,
)
from application.projections.log_checks import LogGaps
from application.projections.read_ahead import ReadAhead

COMMITS_A_READ = 2_000
"""What decoding makes of them fits in the cache of a processor: of 50,000, each stage takes twice the time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Every commit up to `position`, which is that of the commit `commit_id`. `is_last`: the log ended there when it
    was read."""

    position: int
    commit_id: str
    events: int
    row_keys: RowKeys
    fold: Fold
    is_last: bool


class Batches(Protocol):
    def after(self, position: int) -> AsyncGenerator[Batch]:
        """The batches after `position`, in order, up to the log's end. The next one may be asked for before the fold of
        one is called. Raises `StoreUnavailable`."""
        ...


class LogBatches:
    """Read and folded in this process. `batch_events` is about how many events a batch has, as `weight_of` counts."""

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
                decoded = await asyncio.to_thread(decode_all, page, self._codec)
                more = sum(map(weight_of, page))
                if events + more <= self._batch_events:
                    batch += decoded
                    events += more
                    continue
                for each in decoded:
                    more = weight_of(each[0])
                    if batch and events + more > self._batch_events:
                        yield batch_of(batch, self._clock)
                        batch, events = [], 0
                    batch.append(each)
                    events += more
        if batch:
            yield batch_of(batch, self._clock, is_last=True)

    async def _pages(self, after: int) -> AsyncGenerator[Sequence[CommitEvents]]:
        """The next is read while one is decoded. The last one reaches the tip as it was before it was read: waiting for
        an empty one would mean to wait until nobody writes any more."""
        async with ReadAhead[tuple[Sequence[CommitEvents], int]]() as ahead:
            ahead.begin(self._page(after, 0))
            while True:
                page, tip = await ahead.result()
                is_last = not page or page[-1].position >= tip
                if not is_last:
                    ahead.begin(self._page(page[-1].position, tip))
                yield page
                if is_last:
                    return

    async def _page(self, after: int, tip: int) -> tuple[Sequence[CommitEvents], int]:
        """The tip is asked for only where the page may reach the one that is known."""
        limit = min(COMMITS_A_READ, self._batch_events)
        if after + limit >= tip:
            tip = await self._log.tip()
        return await self._log.read_events(after, limit), tip


def batch_of(decoded: Sequence[DecodedCommit], clock: Clock, *, is_last: bool = False) -> Batch:
    """Of at least one commit."""
    last, _ = decoded[-1]

    def fold(rows: Rows) -> RowChanges:
        return fold_batch(decoded, rows, clock.now(), lacks=all_given)

    return Batch(last.position, last.commit_id, count_events(decoded), row_keys_of(decoded), fold, is_last)


class ShardBatch(NamedTuple):
    """One shard's part of a batch: how much it is, and which rows it reads and writes."""

    commits: int
    events: int
    row_keys: RowKeys


class ShardWorker(Protocol):
    """Works on one shard. Requests are answered in their order, and a batch is kept until the one after the next is
    read: its fold may be repeated."""

    async def read(self, after: int, until: int) -> int:
        """Read the shard's commits after `after`, up to `until` or until a batch is full, and return up to which
        position that is. Raises `StoreUnavailable`."""
        ...

    async def cut(self, after: int, until: int) -> ShardBatch:
        """Drop what is past `until` from what was read after `after`: the batch ends where the first worker stopped."""
        ...

    def fold(self, after: int, rows: Rows, now: datetime) -> "Future[RowChanges]":
        """Fold what was read after `after` on its rows. May be called from any thread."""
        ...


class ShardReader:
    """What a `ShardWorker` does."""

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
                events += sum(map(weight_of, commits))
                position = commits[-1].position if commits else until
        return position

    def cut(self, after: int, until: int) -> ShardBatch:
        decoded = [each for each in self._read[after] if each[0].position <= until]
        self._read[after] = decoded
        return ShardBatch(len(decoded), count_events(decoded), row_keys_of(decoded))

    def fold(self, after: int, rows: Rows, now: datetime) -> RowChanges:
        return fold_batch(self._read[after], rows, now, lacks=all_given)


class ShardedBatches:
    """One worker a shard. `batch_events` is about how many events a batch has."""

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
                raise LogDamaged(gap.sentence if gap else "The log changed while it was read; run the rebuild again.")
            folds_begun = asyncio.Event()
            [last] = await self._log.read_events(until - 1, 1)
            yield Batch(
                position=until,
                commit_id=last.commit_id,
                events=sum(cut.events for cut in cuts),
                row_keys=_join_keys([cut.row_keys for cut in cuts]),
                fold=self._fold(position, folds_begun),
                is_last=until == tip,
            )
            await folds_begun.wait()  # else the workers would read the next batch before they fold this one
            position = until

    def _fold(self, after: int, begun: asyncio.Event) -> Fold:
        loop = asyncio.get_running_loop()

        def fold(rows: Rows) -> RowChanges:
            now = self._clock.now()
            parts = _split(rows, len(self._workers))
            folding = [worker.fold(after, part, now) for worker, part in zip(self._workers, parts, strict=True)]
            loop.call_soon_threadsafe(begun.set)
            return _join_changes([each.result() for each in folding])

        return fold


def _split(rows: Rows, shards: int) -> list[Rows]:
    """By the shard of each post."""
    return [
        Rows(
            {post_id: post for post_id, post in rows.posts.items() if Shard.of(post_id, shards) == shard},
            {key: comment for key, comment in rows.comments.items() if Shard.of(key[0], shards) == shard},
            {post_id: parked for post_id, parked in rows.parked.items() if Shard.of(post_id, shards) == shard},
        )
        for shard in Shard.all(shards)
    ]


def _join_changes(parts: Sequence[RowChanges]) -> RowChanges:
    return RowChanges(
        **{field.name: list(chain(*[getattr(part, field.name) for part in parts])) for field in fields(RowChanges)}
    )


def _join_keys(parts: Sequence[RowKeys]) -> RowKeys:
    return RowKeys([post for part in parts for post in part.posts], [key for part in parts for key in part.comments])
