"""The batches of a rebuild, folded by several workers: each has a share of the posts, reads the commits of these posts,
and folds them. All of them read the same positions, so a batch is whole, and is written in one transaction as ever.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from dataclasses import fields
from datetime import datetime
from itertools import chain
from typing import NamedTuple, Protocol

from application.errors import LogDamaged
from application.maintenance.batches import Batch
from application.maintenance.garbage import seldom_searched
from application.ports.commit_log import CommitLog, Share
from application.ports.event_codec import EventCodec
from application.ports.read_db import Fold, RowChanges, RowKeys, Rows
from application.ports.system import Clock
from application.projections.batch import DecodedCommit, all_given, decode_all, fold_batch, row_keys_of
from application.projections.log_checks import LogGaps


class Cut(NamedTuple):
    """What a share's part of a batch holds, and touches."""

    commits: int
    events: int
    row_keys: RowKeys


class ShareWorker(Protocol):
    """Does what it is asked for in the order in which it was asked, and keeps a batch until the one after the next is
    read."""

    async def read(self, after: int, until: int) -> int:
        """Read the share's commits behind `after`, up to `until` or to as many events as a batch may have; up to which
        position that is. Raises `StoreUnavailable`."""
        ...

    async def cut(self, after: int, until: int) -> Cut:
        """Leave out of what was read behind `after` what stands behind `until`."""
        ...

    def fold(self, after: int, rows: Rows, now: datetime) -> "Future[RowChanges]":
        """What was read behind `after`, on the rows that it touches. Asked for from any thread."""
        ...


class ShareFold:
    """The work of a `ShareWorker` on one share."""

    def __init__(self, log: CommitLog, codec: EventCodec, share: Share, batch_events: int) -> None:
        self._log = log
        self._codec = codec
        self._share = share
        self._batch_events = batch_events
        self._read: dict[int, list[DecodedCommit]] = {}

    async def read(self, after: int, until: int) -> int:
        kept = sorted(self._read)[-1:]
        self._read = {before: self._read[before] for before in kept if before < after}
        decoded = self._read[after] = []
        position, events = after, 0
        with seldom_searched():
            while position < until and events < self._batch_events:
                commits = await self._log.read_share(position, until, self._share)
                decoded += await asyncio.to_thread(decode_all, commits, self._codec)
                events += sum([len(commit.events) for commit in commits])
                position = commits[-1].position if commits else until
        return position

    def cut(self, after: int, until: int) -> Cut:
        decoded = [each for each in self._read[after] if each.commit.position <= until]
        self._read[after] = decoded
        return Cut(len(decoded), sum([len(commit.events) for commit, _ in decoded]), row_keys_of(decoded))

    def fold(self, after: int, rows: Rows, now: datetime) -> RowChanges:
        return fold_batch(self._read[after], rows, now, lacks=all_given)


class SharedBatches:
    """One worker a share. `batch_events` is about how many events a batch has."""

    def __init__(self, log: CommitLog, clock: Clock, workers: Sequence[ShareWorker], batch_events: int) -> None:
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
                gap = await LogGaps(self._log).look(thorough=True)
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


def _divided(rows: Rows, shares: int) -> list[Rows]:
    """By the share that each post belongs to."""
    return [
        Rows(
            {post_id: post for post_id, post in rows.posts.items() if Share.of(post_id, shares) == share},
            {key: comment for key, comment in rows.comments.items() if Share.of(key[0], shares) == share},
            {post_id: parked for post_id, parked in rows.parked.items() if Share.of(post_id, shares) == share},
        )
        for share in Share.all(shares)
    ]


def _joined(parts: Sequence[RowChanges]) -> RowChanges:
    return RowChanges(
        **{field.name: list(chain(*[getattr(part, field.name) for part in parts])) for field in fields(RowChanges)}
    )


def _together(parts: Sequence[RowKeys]) -> RowKeys:
    return RowKeys([post for part in parts for post in part.posts], [key for part in parts for key in part.comments])
