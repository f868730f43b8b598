"""Snapshots and the cache of states: droppable, ignored when unreadable, and without influence on decisions."""

import gc
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.log import MemoryEventStore, MemoryLog, MemorySnapshots
from application.command_side import stream_state
from application.command_side.stream_state import (
    FORMAT,
    CachedState,
    Snapshotting,
    StateCache,
    StateLoader,
    StreamState,
    decode_state,
    encode_state,
)
from application.errors import StoreUnavailable
from application.ports.event_store import Snapshot
from application.snapshot_format import format_of
from command_process import ANYBODY, CODEC, CommandProcess, RecordedMetrics
from domain.commands import AddComment, CreatePost, LikePost, PostCommand, RemovePost
from domain.events import CommentAdded, PostCreated, PostLiked, PostRemoved
from domain.ids import CommentId, PostId
from domain.persistent_map import PersistentMap
from domain.post import INITIAL, LivePost, fold
from given import COMMENT, CREATED, NOON, POST

CREATE = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
HISTORY: list[PostCommand] = [
    CREATE,
    *(LikePost(post_id=POST, username=f"user {n}") for n in range(7)),
    AddComment(post_id=POST, comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON),
]


@pytest.fixture
def log():
    return MemoryLog()


def loader(log: MemoryLog, every: int) -> StateLoader:
    return StateLoader(MemoryEventStore(log), CODEC, Snapshotting(MemorySnapshots(log), RecordedMetrics(), every))


async def written(log: MemoryLog, every: int) -> CommandProcess:
    process = CommandProcess(MemoryEventStore(log), MemorySnapshots(log), every=every)
    for command in HISTORY:
        await process.commands.handle(command, ANYBODY)
        await process.queue.drain()
    return process


async def test_a_snapshot_is_stored_every_n_events(log):
    process = await written(log, every=4)

    snapshot = await MemorySnapshots(log).load(POST)

    assert snapshot is not None
    assert (snapshot.version, snapshot.position, snapshot.format) == (8, 8, FORMAT)
    assert process.metrics.counts["snapshots_stored"] == 2


async def test_with_or_without_snapshots_the_state_is_the_same(log):
    await written(log, every=4)

    with_snapshot, without = await loader(log, every=4).load(POST), await loader(log, every=0).load(POST)

    assert with_snapshot == without
    assert (without.version, without.position) == (9, 9)


@pytest.mark.parametrize(
    "unusable",
    [
        {"format": "another", "state": b"whatever"},
        {"format": FORMAT, "state": b"not compressed"},
        {"format": FORMAT, "state": encode_state(INITIAL, "")[:-5]},
    ],
    ids=["another format", "unreadable", "cut off"],
)
async def test_an_unusable_snapshot_is_ignored(log, unusable):
    await written(log, every=0)
    await MemorySnapshots(log).store(Snapshot(stream_id=POST, version=9, position=9, **unusable))

    stream = await loader(log, every=4).load(POST)

    assert isinstance(stream.state, LivePost)
    assert len(stream.state.likers) == 7


@pytest.mark.parametrize(
    ("version", "position", "name"),
    [(9, 10, "last"), (8, 9, "last"), (10, 9, "last"), (10, 12, "last"), (9, 9, "another")],
    ids=["moved", "within the stream", "after its end", "after the end of the log", "of another commit"],
)
async def test_a_snapshot_whose_commit_is_not_in_the_log_is_ignored(log, version, position, name):
    """A restore removed the commit, or replaced it by another one."""
    await written(log, every=0)
    last = log.last_of(POST)
    state = encode_state(fold([CREATED]), last.commit_id if name == "last" else name)
    await MemorySnapshots(log).store(
        Snapshot(stream_id=POST, version=version, position=position, format=FORMAT, state=state)
    )

    stream = await loader(log, every=4).load(POST)

    assert stream == await loader(log, every=0).load(POST)
    assert (stream.version, stream.position, stream.commit_id) == (9, 9, last.commit_id)


async def test_loading_starts_from_a_snapshot_whose_commit_is_in_the_log(log):
    await written(log, every=0)
    last = log.last_of(POST)
    state = encode_state(fold([CREATED]), last.commit_id)
    await MemorySnapshots(log).store(Snapshot(stream_id=POST, version=9, position=9, format=FORMAT, state=state))

    stream = await loader(log, every=4).load(POST)

    assert stream.state == fold([CREATED])


async def test_a_snapshot_that_can_not_be_stored_costs_only_time(log):
    class Away(MemorySnapshots):
        async def store(self, snapshot: Snapshot) -> None:
            raise StoreUnavailable("The event store is away.")

    process = CommandProcess(MemoryEventStore(log), Away(log), every=2)
    await process.commands.handle(CREATE, ANYBODY)
    result = await process.commands.handle(LikePost(post_id=POST, username="Bob"), ANYBODY)
    await process.queue.drain()

    assert result.version == 2
    assert process.metrics.counts["snapshots_failed"] == 1


def test_the_format_changes_with_the_events_and_their_upcasters():
    assert len(FORMAT) == 16
    assert format_of(1, [("PostLiked", 2)], []) != format_of(1, [("PostLiked", 3)], [])


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(likers=st.lists(names, max_size=40), comments=st.dictionaries(st.uuids().map(str), names, max_size=10))
@settings(max_examples=50)
def test_a_state_is_decoded_as_it_was_encoded(likers, comments):
    events = [CREATED, *(PostLiked(username=name) for name in likers)]
    events += [CommentAdded(comment_id=k, comment=v, username=v, comment_date=NOON) for k, v in comments.items()]
    for state in (INITIAL, fold(events), fold([*events, PostRemoved(username="Ann")])):
        assert decode_state(encode_state(state, "its commit")) == (state, "its commit")


async def test_what_was_read_before_the_store_became_unavailable_is_stored_as_a_snapshot(log):
    class GoesAway(MemoryEventStore):
        async def read_stream(self, stream_id, after_version=0, limit=1_000):
            if after_version >= 4:
                raise StoreUnavailable("The event store is away.")
            return await super().read_stream(stream_id, after_version, 4)

    await written(log, every=0)
    snapshots = Snapshotting(MemorySnapshots(log), RecordedMetrics(), every=4)

    with pytest.raises(StoreUnavailable):
        await StateLoader(GoesAway(log), CODEC, snapshots).load(POST)
    await snapshots.drain()

    stored = await MemorySnapshots(log).load(POST)
    assert stored is not None
    assert stored.version == 4
    assert (await loader(log, every=4).load(POST)).version == 9


POSTS = [PostId(f"0198c0de-0000-7000-8000-00000000000{n}") for n in range(3)]


def stream_of(message: str = "Hello", likers: int = 0) -> StreamState:
    post = fold([PostCreated(author="Ann", message=message, date_posted=NOON)])
    return StreamState(fold([PostLiked(username=f"user {n}") for n in range(likers)], post), 1 + likers, 1 + likers, "")


def test_the_cache_drops_the_least_recently_used_states_by_the_bytes_of_their_texts():
    large = stream_of("x" * 40_000)
    cache = StateCache(max_bytes=100_000, max_states=1_000)
    cache.put(POSTS[0], large)
    cache.put(POSTS[1], large)
    assert cache.get(POSTS[0]) is not None

    cache.put(POSTS[2], large)

    assert cache.get(POSTS[1]) is None
    assert cache.get(POSTS[0]) == large
    assert cache.get(POSTS[2]) == large


def test_the_cache_has_a_maximum_number_of_states():
    cache = StateCache(max_bytes=1_000_000, max_states=2)
    for post_id in POSTS:
        cache.put(post_id, stream_of())
    assert [cache.get(post_id) is not None for post_id in POSTS] == [False, True, True]


def test_a_state_larger_than_the_cache_is_kept_while_it_is_the_newest():
    cache = StateCache(max_bytes=3_000, max_states=1_000)
    large = stream_of(likers=100)
    cache.put(POST, large)
    assert cache.get(POST) == large
    cache.drop(POST)
    assert cache.get(POST) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: stream_of(likers=10_000),
        lambda: stream_of("word " * 8_000),
        lambda: StreamState(fold([CREATED, *(comment_of(n, "word " * 100) for n in range(2_000))]), 2_001, 2_001, ""),
    ],
    ids=["likers", "a long message", "comments"],
)
def test_the_estimated_size_of_a_state_is_close_to_its_memory(make):
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        stream = make()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / 2 < CachedState.of(stream, None).bytes < 2 * taken


def test_the_estimate_follows_a_state_that_grows_event_by_event():
    """Entries are not measured at each event; the estimate stays within a tenth of a full measurement."""
    state, cached = fold([CREATED]), None
    for number in range(1, 600):
        event = comment_of(number, "word " * 20) if number % 3 else PostLiked(username=f"user {number}")
        state = fold([event], state)
        stream = StreamState(state, number, number, "")
        cached = CachedState.of(stream, cached)
        measured = CachedState.of(stream, None).bytes
        assert 0.9 * measured <= cached.bytes <= 1.1 * measured
    smaller = StreamState(fold([CREATED]), 600, 600, "")
    assert CachedState.of(smaller, cached).bytes == CachedState.of(smaller, None).bytes


def comment_of(number: int, text: str) -> CommentAdded:
    comment_id = CommentId(f"0198c0de-0000-7000-8000-{number:012d}")
    return CommentAdded(comment_id=comment_id, comment=f"{text} {number}", username=f"user {number}", comment_date=NOON)


@pytest.mark.parametrize(("likers", "distance"), [(0, 500), (15_999, 500), (16_000, 1_000), (64_000, 4_000)])
def test_the_larger_a_state_is_the_more_events_are_between_its_snapshots(likers, distance):
    state = LivePost(author="Ann", message="Hello", likers=PersistentMap.of(dict.fromkeys(range(likers), True)))
    assert stream_state.distance_of(state, 500) == distance


async def test_after_a_long_load_a_snapshot_is_stored(log):
    """So that an imported history, or one whose snapshot has another format, is read whole only once."""
    await written(log, every=0)
    snapshots = Snapshotting(MemorySnapshots(log), RecordedMetrics(), every=4)

    await StateLoader(MemoryEventStore(log), CODEC, snapshots).load(POST)
    await snapshots.drain()

    stored = await MemorySnapshots(log).load(POST)
    assert stored is not None
    assert stored.version == 9


async def test_a_removed_post_is_stored_as_removed(log):
    process = await written(log, every=4)
    await process.commands.handle(RemovePost(post_id=POST, username="Ann"), ANYBODY)
    await process.queue.drain()

    assert (await loader(log, every=4).load(POST)).version == 10
