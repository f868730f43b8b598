"""Posts as they were: one query does bounded work, which is kept for the next; the result is that of a plain fold."""

import asyncio
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.memory.log import MemoryEventStore, MemoryLog, MemorySnapshots
from application.envelopes import Commit, StoredEvent
from application.errors import HistoryNotRead, StoreUnavailable
from application.ports.event_store import Snapshot
from application.projections.post import WholePost
from application.query_side.history import ListEvents
from application.query_side.past_states import COMMENTS_SHOWN, FORMAT, SEGMENT_EVENTS, PastStates
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


def comment_id(number: int) -> str:
    return f"0198c0de-0000-7000-8000-{number:012d}"


def commented(number: int, minute: int = 0) -> StoredEvent:
    data = {"commentId": comment_id(number), "comment": f"no {number}", "username": "Bob"}
    return StoredEvent("CommentAdded", 1, data | {"commentDate": f"2026-11-23T12:{minute:02}:00.000Z"})


def edited(number: int) -> StoredEvent:
    data = {"commentId": comment_id(number), "comment": f"edited {number}", "username": "Bob"}
    return StoredEvent("CommentUpdated", 1, data | {"editDate": "2026-11-23T13:00:00.000Z"})


@pytest.fixture(scope="module")
def long_log() -> MemoryLog:
    log = MemoryLog()
    for version, event in enumerate([CREATED, *(liked(f"user {number}") for number in range(LIKES))], start=1):
        log.add(proposed(POST_A, version, event, recorded_at=NOON + timedelta(seconds=version)))
    return log


LIMITS = FoldLimits()
BOUND = SEGMENT_EVENTS + 1
"""Commits of one event that a step may read: a segment's, and the one that proves the state it starts from."""


def at(version: int) -> GetPostAsOf:
    return GetPostAsOf(post_id=POST_A, version=version)


def posts_of(
    store: MemoryEventStore,
    *,
    clock: Clock | None = None,
    limits: FoldLimits | None = None,
    snapshots: MemorySnapshots | None = None,
    segment_events: int = SEGMENT_EVENTS,
) -> PostsAsOf:
    """A process without stored states, unless it gets `snapshots`."""
    states = PastStates(
        snapshots or MemorySnapshots(MemoryLog()), is_on=snapshots is not None, segment_events=segment_events
    )
    return PostsAsOf(store, states, CODEC, clock or Clock(), limits)


async def test_stepping_through_the_versions_of_a_long_post_reads_little(long_log):
    store = CountingStore(long_log)
    posts = posts_of(store)
    assert (await posts.fold(at(LIKES - 5_000))).whole.post.likes == LIKES - 5_001
    read = store.commits_read

    for version in [*range(LIKES - 4_999, LIKES - 4_990), *range(LIKES - 4_990, LIKES - 5_010, -1)]:
        assert (await posts.fold(at(version))).whole.post.likes == version - 1

    assert (store.commits_read - read) / 29 <= BOUND
    assert read < LIKES


async def test_a_process_without_any_cache_reads_one_segment_for_a_step_through_a_long_post(long_log):
    """Whatever the post's length, once some process has folded it."""
    snapshots = MemorySnapshots(long_log)
    await posts_of(MemoryEventStore(long_log), snapshots=snapshots).fold(at(LIKES))
    for version in (LIKES, LIKES - 1, 999, 1_000, 1_001, 17_999, 18_000, 18_500, 1):
        for query in (at(version), GetPostAsOf(post_id=POST_A, at=NOON + timedelta(seconds=version))):
            store = CountingStore(long_log)
            folded = await posts_of(store, snapshots=snapshots).fold(query)
            assert (folded.whole.post.likes, folded.version) == (version - 1, version)
            assert store.commits_read <= BOUND + LIMITS.commits_per_read * (query.version is None)


async def test_a_step_at_the_end_of_a_post_reads_what_came_since_the_last_fold_and_one_segment():
    log = MemoryLog()
    snapshots = MemorySnapshots(log)

    def grow(first: int, last: int) -> None:
        for version in range(first, last + 1):
            log.add(proposed(POST_A, version, CREATED if version == 1 else liked()))

    grow(1, 5_500)
    await posts_of(MemoryEventStore(log), snapshots=snapshots).fold(at(5_500))
    grow(5_501, 7_000)
    store = CountingStore(log)
    assert (await posts_of(store, snapshots=snapshots).fold(at(7_000))).whole.post.likes == 6_999
    assert store.commits_read <= 1_500 + BOUND


async def test_stored_states_take_little_room(long_log):
    """A state has the comments that its segment needs, not all comments of the post."""
    log = MemoryLog()
    for version in range(1, 6_001):
        log.add(proposed(POST_A, version, CREATED if version == 1 else commented(version)))
    snapshots = MemorySnapshots(log)
    posts = posts_of(MemoryEventStore(log), snapshots=snapshots)
    await posts.fold(at(6_000))
    [*segments, complete] = sorted(log.snapshots.values(), key=lambda each: len(each.state))
    assert (len(segments), complete.name) == (5, "complete")
    assert all(len(each.state) < len(complete.state) / 20 for each in segments)


async def test_the_same_query_again_is_answered_from_the_cache(long_log):
    store = CountingStore(long_log)
    posts = posts_of(store)
    first = await posts.fold(at(20_000))
    read = store.commits_read

    again = await posts.fold(at(20_000))

    assert again.whole.post == first.whole.post
    assert store.commits_read - read == 1


async def test_one_query_reads_for_a_bounded_time_and_the_next_resumes(long_log):
    store = CountingStore(long_log)
    posts = posts_of(store, clock=Clock(step=1.0), limits=FoldLimits(seconds=4.0))
    with pytest.raises(HistoryNotRead, match=r"4,000 of its events were read so far\. Send the request again"):
        await posts.fold(at(LIKES))
    refused, whole = 1, None
    while whole is None:
        try:
            whole = await posts.fold(at(LIKES))
        except HistoryNotRead:
            refused += 1
    assert whole.whole.post.likes == LIKES - 1
    assert 3 < refused < 20
    assert store.commits_read < LIKES + 2 * refused


async def test_a_cancelled_query_reads_no_further(long_log):
    store = CountingStore(long_log)
    posts = posts_of(store)
    folding = asyncio.create_task(posts.fold(at(LIKES)))
    while not store.commits_read:
        await asyncio.sleep(0)
    folding.cancel()
    await asyncio.gather(folding, return_exceptions=True)
    read = store.commits_read

    assert (await posts.fold(at(1))).whole.post.likes == 0

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

    posts = posts_of(Watched(long_log))
    await asyncio.gather(*(posts.fold(at(3_000 + number)) for number in range(10)))
    assert most == LIMITS.concurrent_folds


def folded_plainly(log: MemoryLog, included: Callable[[Commit], bool], version: int | None) -> WholePost:
    whole = WholePost(POST_A)
    for commit in log.stream_page(POST_A, 0, 10_000):
        if not included(commit):
            break
        last = commit.last_version if version is None else min(version, commit.last_version)
        whole.apply(CODEC.decode(commit)[: last - commit.version + 1], last)
    return whole


def changing_log(events: int) -> MemoryLog:
    """Commits of several events; comments that are edited and removed, most of them new ones, with dates in any order;
    and times that go back and forth."""
    chance, log, version = random.Random(3), MemoryLog(), 1
    there: list[int] = []

    def event(version: int) -> StoredEvent:
        if version == 1:
            return CREATED
        kind = chance.random()
        if kind < 0.2:
            return liked()
        if kind < 0.7 or not there:
            there.append(version)
            return commented(version, chance.randint(0, 59))
        one = chance.choice(there[-30:] if chance.random() < 0.8 else there)
        if kind < 0.8:
            return edited(one)
        there.remove(one)
        return StoredEvent("CommentRemoved", 2, {"commentId": comment_id(one), "username": "Bob"})

    while version < events:
        stored = [event(version + n) for n in range(chance.randint(1, 4))]
        when = NOON + timedelta(seconds=version + chance.randint(-9, 9))
        log.add(proposed(POST_A, version, *stored, recorded_at=when))
        version += len(stored)
    return log


@pytest.mark.parametrize(("is_stored", "cache_bytes"), [(False, 4_000_000), (True, 200_000)])
async def test_in_any_order_of_queries_the_result_is_that_of_a_plain_fold(is_stored, cache_bytes):
    """Also when processes with nothing cached continue from what others stored."""
    log, most = changing_log(900), 0
    snapshots = MemorySnapshots(log) if is_stored else None
    limits = FoldLimits(commits_per_read=5, events_per_slice=4, cache_bytes=cache_bytes)
    chance = random.Random(4)

    for number in range(150):
        if number == 0 or (is_stored and number % 10 == 0):
            posts = posts_of(MemoryEventStore(log), limits=limits, snapshots=snapshots, segment_events=7)
        query = at(chance.randint(1, 900))
        if chance.random() < 0.3:
            query = GetPostAsOf(post_id=POST_A, at=NOON + timedelta(seconds=chance.randint(1, 920)))
        expected = folded_plainly(log, lambda c, q=query: q.includes(c.version, c.recorded_at), query.version)
        found = await posts.get(query)
        assert found.post == expected.post
        newest = sorted(expected.comments.values(), key=lambda c: (c.comment_date, c.comment_id), reverse=True)
        assert found.comments == newest[:COMMENTS_SHOWN]
        most = max(most, len(newest))
    assert most > 2 * COMMENTS_SHOWN


@pytest.mark.parametrize(
    "unusable",
    [
        lambda stored: replace(stored, format="another"),
        lambda stored: replace(stored, state=b"not compressed"),
        lambda stored: replace(stored, state=zlib.compress(b'{"post": []}\n')),
    ],
)
async def test_stored_states_that_are_unusable_are_ignored(long_log, unusable):
    log = MemoryLog()
    log.snapshots = {key: unusable(stored) for key, stored in (await states_of(long_log)).items()}
    folded = await posts_of(MemoryEventStore(long_log), snapshots=MemorySnapshots(log)).fold(at(5_000))
    assert folded.whole.post.likes == 4_999


async def states_of(log: MemoryLog) -> dict[str, Snapshot]:
    kept = MemoryLog()
    await posts_of(MemoryEventStore(log), snapshots=MemorySnapshots(kept)).fold(at(6_000))
    assert kept.snapshots
    assert {each.format for each in kept.snapshots.values()} == {FORMAT}
    return kept.snapshots


async def test_stored_states_of_a_log_that_was_replaced_are_not_believed(long_log):
    """By version or time; the other log has commits of other ids."""
    other = MemoryLog()
    for version in range(1, 6_001):
        when = NOON + timedelta(seconds=2 * version)
        event = CREATED if version == 1 else commented(version)
        other.add(proposed(POST_A, version, event, name=f"other {version}", recorded_at=when))
    other.snapshots = await states_of(long_log)
    for query in (at(3_500), GetPostAsOf(post_id=POST_A, at=NOON + timedelta(seconds=7_000))):
        posts = posts_of(MemoryEventStore(other), snapshots=MemorySnapshots(other))
        found = await posts.get(query)
        assert (found.post.version, found.post.likes, found.post.comments_count) == (3_500, 0, 3_499)


async def test_a_store_that_keeps_no_states_costs_only_time(long_log):
    class Away(MemorySnapshots):
        async def load(self, stream_id: PostId, name: str = "") -> Snapshot | None:
            raise StoreUnavailable("away")

        async def store(self, snapshot: Snapshot) -> None:
            raise StoreUnavailable("away")

    posts = posts_of(MemoryEventStore(long_log), snapshots=Away(long_log))
    assert (await posts.fold(at(5_000))).whole.post.likes == 4_999


async def test_the_cache_forgets_a_log_that_was_replaced():
    first, second = MemoryLog(), MemoryLog()
    for name, log in (("one", first), ("two", second)):
        log.add(proposed(POST_A, 1, CREATED, name=f"{name} 1"))
        log.add(proposed(POST_A, 2, liked(name), name=f"{name} 2"))
    second.add(proposed(POST_A, 3, liked("another")))
    store = MemoryEventStore(first)
    posts = posts_of(store)
    assert (await posts.fold(at(2))).whole.post.likes == 1

    store._log = second

    assert (await posts.fold(at(3))).whole.post.likes == 2


async def test_the_memory_of_the_cache_is_bounded(long_log):
    posts = posts_of(MemoryEventStore(long_log), limits=FoldLimits(cache_bytes=10 * 2_000))
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
