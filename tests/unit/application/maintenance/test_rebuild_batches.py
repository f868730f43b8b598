"""Batches of a rebuild that several workers fold, and the collector's threshold, which every job restores."""

import asyncio
import gc
from concurrent.futures import Future
from contextlib import aclosing

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryLog
from adapters.system.clock_and_ids import SystemClock
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import LogDamaged
from application.maintenance.progress import relaxed_gc
from application.maintenance.rebuild_batches import Batch, LogBatches, ShardedBatches, ShardReader
from application.ports.commit_log import Shard
from application.ports.read_db import RowChanges, Rows
from command_process import CODEC
from contracts.rebuilding import InThisProcess
from domain.ids import PostId
from given import NOON

NOTHING = Rows({}, {}, {})
CREATED = StoredEvent("PostCreated", 1, {"author": "Ann", "message": "Hi", "datePosted": "2026-11-23T15:46:58.123Z"})
LIKED = StoredEvent("PostLiked", 2, {"username": None})


def post_id(number: int) -> PostId:
    return PostId(f"0198c0de-0000-7000-8000-{number:012x}")


def log_of(posts: int, likes: int = 0) -> MemoryLog:
    """A commit a post, of its creation and so many likes."""
    log = MemoryLog()
    for number in range(posts):
        add(log, number, 1, CREATED, *[LIKED] * likes)
    return log


def add(log: MemoryLog, number: int, version: int, *events: StoredEvent) -> None:
    log.add(
        ProposedCommit(
            stream_id=post_id(number),
            version=version,
            commit_id=f"commit {number}",
            recorded_at=NOON,
            metadata={},
            events=events,
        )
    )


def shared(log: MemoryCommitLog, workers: int, batch_events: int, worker: type[InThisProcess] = InThisProcess):
    folds = [ShardReader(log, CODEC, shard, batch_events) for shard in Shard.all(workers)]
    return ShardedBatches(log, SystemClock(), [worker(fold) for fold in folds], batch_events)


async def folded(batches: ShardedBatches | LogBatches, after: int = 0) -> list[tuple[Batch, RowChanges]]:
    async with aclosing(batches.after(after)) as found:
        return [(batch, await asyncio.to_thread(batch.fold, NOTHING)) async for batch in found]


async def test_the_workers_parts_are_one_batch_and_nothing_is_left_out():
    log = MemoryCommitLog(log_of(50, likes=1))
    parts = await folded(shared(log, workers=3, batch_events=20))

    assert [batch.position for batch, _ in parts] == [20, 40, 50]
    assert [batch.events for batch, _ in parts] == [40, 40, 20]
    assert [batch.is_last for batch, _ in parts] == [False, False, True]
    assert [batch.commit_id for batch, _ in parts] == ["commit 19", "commit 39", "commit 49"]
    rows = [post for _, changes in parts for post in changes.posts]
    assert sorted(post.post_id for post in rows) == [post_id(number) for number in range(50)]
    assert {(post.likes, post.version) for post in rows} == {(1, 2)}
    row_keys = [post for batch, _ in parts for post in batch.row_keys.posts]
    assert sorted(row_keys) == [post_id(number) for number in range(50)]


async def test_one_worker_s_many_events_end_the_batch_for_all():
    """A shard stops at as many events as a batch may have; later commits of the others are read again."""
    log = log_of(16, likes=4)

    class SmallPages(MemoryCommitLog):
        async def read_shard(self, after: int, until: int, shard: Shard):
            return (await super().read_shard(after, until, shard))[:1]

    parts = await folded(shared(SmallPages(log), workers=2, batch_events=15))

    assert [(batch.position, batch.events) for batch, _ in parts] == [(5, 25), (10, 25), (15, 25), (16, 5)]
    assert sorted(post.post_id for _, changes in parts for post in changes.posts) == [post_id(n) for n in range(16)]


async def test_a_commit_that_was_removed_is_missed():
    log = log_of(10)

    class Holed(MemoryCommitLog):
        async def read_shard(self, after: int, until: int, shard: Shard):
            return [commit for commit in await super().read_shard(after, until, shard) if commit.position != 7]

        async def count(self, after: int, until: int) -> int:
            return await super().count(after, until) - (after < 7 <= until)

    with pytest.raises(LogDamaged, match="no commit at position 7, but one at 8"):
        await folded(shared(Holed(log), workers=2, batch_events=100))


async def test_nothing_is_read_before_the_fold_of_the_batch_before_was_begun():
    """A worker does one thing after the other: the rows of a batch must not wait until the next one is read."""
    asked: list[str] = []

    class Noting(InThisProcess):
        async def read(self, after: int, until: int) -> int:
            asked.append(f"read behind {after}")
            return await super().read(after, until)

        def fold(self, after: int, rows: Rows, now) -> Future[RowChanges]:
            asked.append(f"fold behind {after}")
            return super().fold(after, rows, now)

    batches = shared(MemoryCommitLog(log_of(20)), workers=1, batch_events=10, worker=Noting)
    async with aclosing(batches.after(0)) as found:
        first = await anext(found)
        following = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        await asyncio.to_thread(first.fold, NOTHING)
        second = await following
        again = await asyncio.to_thread(first.fold, NOTHING)

    assert asked == ["read behind 0", "fold behind 0", "read behind 10", "fold behind 0"]
    assert (second.position, len(again.posts)) == (20, 10)


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
async def test_rows_reach_the_worker_of_their_post(workers: int):
    """Each post continues from its row, whichever shard it is of."""
    log = log_of(40)
    created = (await folded(LogBatches(MemoryCommitLog(log), CODEC, SystemClock(), 1_000)))[0][1]
    for number in range(40):
        add(log, number, 2, LIKED)
    rows = Rows({post.post_id: post for post in created.posts}, {}, {})
    async with aclosing(shared(MemoryCommitLog(log), workers, 1_000).after(40)) as found:
        batch = await anext(found)
        changes = await asyncio.to_thread(batch.fold, rows)

    assert {(post.likes, post.version) for post in changes.posts} == {(1, 2)}
    assert len(changes.posts) == 40


async def test_long_events_make_smaller_batches():
    log = MemoryLog()
    for number in range(10):
        add(log, number, 1, StoredEvent("PostCreated", 1, {**CREATED.data, "message": "x" * 4_000}))
    parts = await folded(LogBatches(MemoryCommitLog(log), CODEC, SystemClock(), 50))

    assert [batch.position for batch, _ in parts] == [2, 4, 6, 8, 10]
    assert [batch.events for batch, _ in parts] == [2] * 5


def test_the_collector_is_relaxed_until_the_job_ends():
    before = gc.get_threshold()

    def job() -> None:
        with relaxed_gc():
            assert gc.get_threshold() == (10_000_000, *before[1:])
            raise ValueError("it failed")

    with pytest.raises(ValueError, match="it failed"):
        job()
    assert gc.get_threshold() == before
