"""Posts as they were: one query does bounded work, which is cached for the next; the result is that of a plain fold."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.memory.log import MemoryEventStore, MemoryLog
from application.envelopes import Commit, StoredEvent
from application.errors import HistoryNotRead
from application.projections.post import WholePost
from application.query_side.history import ListEvents
from application.query_side.posts_as_of import FoldLimits, GetPostAsOf, PostsAsOf
from command_process import CODEC
from contracts.log_handle import POST_A, liked, proposed
from domain.ids import PostId
from given import NOON
from small_system import SmallSystem

LIKES = 30_000


class CountingStore(MemoryEventStore):
    """Counts the commits that were read."""

    commits_read = 0

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        commits = await super().read_stream(stream_id, after_version, limit)
        self.commits_read += len(commits)
        await asyncio.sleep(0)
        return commits


class Clock:
    """Each reading is `step` seconds later."""

    def __init__(self, step: float = 0.0) -> None:
        self.step, self.seconds = step, 0.0

    def now(self):
        return NOON

    def monotonic(self) -> float:
        self.seconds += self.step
        return self.seconds


CREATED = StoredEvent("PostCreated", 1, {"author": "Ann", "message": "Hello", "datePosted": "2026-11-23T12:00:00.000Z"})


def commented(number: int) -> StoredEvent:
    comment_id = f"0198c0de-0000-7000-8000-{number:012d}"
    data = {"commentId": comment_id, "comment": f"no {number}", "username": "Bob"}
    return StoredEvent("CommentAdded", 1, data | {"commentDate": "2026-11-23T12:00:00.000Z"})


@pytest.fixture(scope="module")
def long_log() -> MemoryLog:
    log = MemoryLog()
    for version, event in enumerate([CREATED, *(liked(f"user {number}") for number in range(LIKES))], start=1):
        log.add(proposed(POST_A, version, event, recorded_at=NOON + timedelta(seconds=version)))
    return log


LIMITS = FoldLimits()


def at(version: int) -> GetPostAsOf:
    return GetPostAsOf(post_id=POST_A, version=version)


async def test_stepping_through_the_versions_of_a_long_post_reads_little(long_log):
    store = CountingStore(long_log)
    posts = PostsAsOf(store, CODEC, Clock())
    assert (await posts.fold(at(LIKES - 5_000))).post.likes == LIKES - 5_001
    read = store.commits_read

    for version in [*range(LIKES - 4_999, LIKES - 4_990), *range(LIKES - 4_990, LIKES - 5_010, -1)]:
        assert (await posts.fold(at(version))).post.likes == version - 1

    assert (store.commits_read - read) / 29 <= LIMITS.cached_before + 2
    assert read < LIKES


async def test_the_same_query_again_is_answered_from_the_cache(long_log):
    store = CountingStore(long_log)
    posts = PostsAsOf(store, CODEC, Clock())
    first = await posts.fold(at(20_000))
    read = store.commits_read

    again = await posts.fold(at(20_000))

    assert again.post == first.post
    assert store.commits_read - read == 1


async def test_one_query_reads_for_a_bounded_time_and_the_next_resumes(long_log):
    store = CountingStore(long_log)
    posts = PostsAsOf(store, CODEC, Clock(step=1.0), FoldLimits(seconds=4.0))
    with pytest.raises(HistoryNotRead, match=r"4,000 of its events were read so far\. Send the request again"):
        await posts.fold(at(LIKES))
    refused, whole = 1, None
    while whole is None:
        try:
            whole = await posts.fold(at(LIKES))
        except HistoryNotRead:
            refused += 1
    assert whole.post.likes == LIKES - 1
    assert 3 < refused < 20
    assert store.commits_read < LIKES + 2 * refused


async def test_a_cancelled_query_reads_no_further(long_log):
    store = CountingStore(long_log)
    posts = PostsAsOf(store, CODEC, Clock())
    folding = asyncio.create_task(posts.fold(at(LIKES)))
    while not store.commits_read:
        await asyncio.sleep(0)
    folding.cancel()
    await asyncio.gather(folding, return_exceptions=True)
    read = store.commits_read

    assert (await posts.fold(at(1))).post.likes == 0

    assert read < LIKES / 2
    assert store.commits_read <= read + 2 * LIMITS.commits_per_read


async def test_the_number_of_concurrent_folds_is_bounded(long_log):
    reading, most = 0, 0

    class Watched(MemoryEventStore):
        async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            try:
                await asyncio.sleep(0.001)
                return await super().read_stream(stream_id, after_version, limit)
            finally:
                reading -= 1

    posts = PostsAsOf(Watched(long_log), CODEC, Clock())
    await asyncio.gather(*(posts.fold(at(3_000 + number)) for number in range(10)))
    assert most == LIMITS.concurrent_folds


def folded_plainly(log: MemoryLog, included: Callable[[Commit], bool], version: int | None) -> WholePost:
    whole = WholePost(POST_A)
    for commit in log.stream_page(POST_A, 0, 10_000):
        if not included(commit):
            break
        last = commit.last_version if version is None else min(version, commit.last_version)
        whole.apply([each for each in CODEC.decode(commit) if each.version <= last], last)
    return whole


async def test_in_any_order_of_queries_the_result_is_that_of_a_plain_fold():
    """Commits of several events, some cut by the version asked for, and times that go back and forth."""
    limits = FoldLimits(cached_every=7, cached_before=3, commits_per_read=5, events_per_slice=4, cache_bytes=20_000)
    chance, log, version = random.Random(3), MemoryLog(), 1
    while version < 200:
        events = [commented(version + n) if chance.random() < 0.5 else liked() for n in range(chance.randint(1, 4))]
        events = [CREATED, *events] if version == 1 else events
        log.add(
            proposed(POST_A, version, *events, recorded_at=NOON + timedelta(seconds=version + chance.randint(-9, 9)))
        )
        version += len(events)
    posts = PostsAsOf(MemoryEventStore(log), CODEC, Clock(), limits)

    for _ in range(300):
        query = at(chance.randint(1, 210))
        if chance.random() < 0.3:
            query = GetPostAsOf(post_id=POST_A, at=NOON + timedelta(seconds=chance.randint(-5, 220)))
        expected = folded_plainly(log, lambda c, q=query: q.includes(c.version, c.recorded_at), query.version)
        whole = await posts.fold(query)
        assert (whole.post, whole.comments, whole.version) == (expected.post, expected.comments, expected.version)


async def test_the_cache_forgets_a_log_that_was_replaced():
    first, second = MemoryLog(), MemoryLog()
    for name, log in (("one", first), ("two", second)):
        log.add(proposed(POST_A, 1, CREATED, name=f"{name} 1"))
        log.add(proposed(POST_A, 2, liked(name), name=f"{name} 2"))
    second.add(proposed(POST_A, 3, liked("another")))
    store = MemoryEventStore(first)
    posts = PostsAsOf(store, CODEC, Clock())
    assert (await posts.fold(at(2))).post.likes == 1

    store._log = second

    assert (await posts.fold(at(3))).post.likes == 2


async def test_the_memory_of_the_cache_is_bounded(long_log):
    posts = PostsAsOf(MemoryEventStore(long_log), CODEC, Clock(), FoldLimits(cache_bytes=10 * 2_000))
    for version in range(1, 30):
        await posts.fold(at(version))
    assert len(posts._cache) == 10


async def test_a_page_of_events_ends_where_their_texts_are_long():
    system = SmallSystem()
    log = system.log
    log.add(proposed(POST_A, 1, CREATED))
    for version in range(2, 102):
        edited = {"message": "x" * 40_000, "username": "Ann", "editDate": "2026-11-23T12:00:00.000Z"}
        log.add(proposed(POST_A, version, StoredEvent("MessageUpdated", 2, edited)))

    versions, after = [], 0
    while after is not None:
        page = await system.queries.ask(ListEvents(post_id=POST_A, limit=500, after=after))
        assert sum(len(event.data.get("message", "")) for event in page.events) < 1_100_000
        versions += [event.version for event in page.events]
        after = page.next_after
    assert versions == list(range(1, 102))
