"""What a rebuild writes in one transaction: a part of the log, read, decoded and ready to be folded."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from application.envelopes import CommitEvents
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.read_db import Fold, RowChanges, RowKeys, Rows
from application.ports.system import Clock
from application.projections.batch import DecodedCommit, all_given, decode_all, fold_batch, row_keys_of
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
