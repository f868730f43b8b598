"""Snapshots and the cache of heads: droppable, ignored when unreadable, and without a say in what is decided."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.event_store import MemoryEventStore
from adapters.memory.log import MemoryLog
from adapters.memory.snapshots import MemorySnapshots
from application.command_side import snapshotting
from application.command_side.heads import Head, HeadCache, HeadReader
from application.command_side.snapshotting import FORMAT, Snapshotting, decode_state, encode_state
from application.errors import StoreUnavailable
from application.ports.snapshots import Snapshot
from command_process import ANYBODY, CODEC, CommandProcess, RecordedMetrics
from domain.commands import AddComment, CreatePost, LikePost, PostCommand, RemovePost
from domain.events import CommentAdded, PostLiked, PostRemoved
from domain.ids import PostId
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


def reader(log: MemoryLog, every: int) -> HeadReader:
    return HeadReader(MemoryEventStore(log), CODEC, Snapshotting(MemorySnapshots(log), RecordedMetrics(), every))


async def written(log: MemoryLog, every: int) -> CommandProcess:
    process = CommandProcess(MemoryEventStore(log), MemorySnapshots(log), every=every)
    for command in HISTORY:
        await process.commands.handle(command, ANYBODY)
        await process.streams.drain()
    return process


async def test_a_snapshot_is_stored_every_n_events(log):
    process = await written(log, every=4)

    snapshot = await MemorySnapshots(log).load(POST)

    assert snapshot is not None
    assert (snapshot.version, snapshot.position, snapshot.format) == (8, 8, FORMAT)
    assert process.metrics.counts["snapshots_stored"] == 2


async def test_with_or_without_snapshots_the_head_is_the_same(log):
    await written(log, every=4)

    with_snapshot, without = await reader(log, every=4).read(POST), await reader(log, every=0).read(POST)

    assert with_snapshot == without
    assert (without.version, without.position) == (9, 9)


@pytest.mark.parametrize(
    "unusable",
    [
        {"format": "another", "state": b"whatever"},
        {"format": FORMAT, "state": b"not compressed"},
        {"format": FORMAT, "state": encode_state(INITIAL)[:-5]},
    ],
    ids=["another format", "unreadable", "cut off"],
)
async def test_an_unusable_snapshot_is_ignored(log, unusable):
    await written(log, every=0)
    await MemorySnapshots(log).store(Snapshot(stream_id=POST, version=9, position=9, **unusable))

    head = await reader(log, every=4).read(POST)

    assert isinstance(head.state, LivePost)
    assert len(head.state.likers) == 7


async def test_a_snapshot_that_cannot_be_stored_costs_nothing_but_time(log):
    class Away(MemorySnapshots):
        async def store(self, snapshot: Snapshot) -> None:
            raise StoreUnavailable("The event store is away.")

    process = CommandProcess(MemoryEventStore(log), Away(log), every=2)
    await process.commands.handle(CREATE, ANYBODY)
    result = await process.commands.handle(LikePost(post_id=POST, username="Bob"), ANYBODY)
    await process.streams.drain()

    assert result.version == 2
    assert process.metrics.counts["snapshots_failed"] == 1


def test_the_format_changes_with_the_events_and_their_upcasters():
    assert len(FORMAT) == 16
    assert snapshotting.format_of([("PostLiked", 2)], []) != snapshotting.format_of([("PostLiked", 3)], [])


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(likers=st.lists(names, max_size=40), comments=st.dictionaries(st.uuids().map(str), names, max_size=10))
@settings(max_examples=50)
def test_a_state_survives_being_stored(likers, comments):
    events = [CREATED, *(PostLiked(username=name) for name in likers)]
    events += [CommentAdded(comment_id=k, comment=v, username=v, comment_date=NOON) for k, v in comments.items()]
    for state in (INITIAL, fold(events), fold([*events, PostRemoved(username="Ann")])):
        assert decode_state(encode_state(state)) == state


def test_the_cache_forgets_the_least_recently_used_heads_by_their_weight():
    cache = HeadCache(max_weight=12)
    liked = fold([CREATED, *(PostLiked(username=f"user {n}") for n in range(5))])
    posts = [PostId(f"0198c0de-0000-7000-8000-00000000000{n}") for n in range(3)]
    cache.put(posts[0], Head(liked, 6, 6))
    cache.put(posts[1], Head(liked, 6, 12))
    assert cache.get(posts[0]) is not None

    cache.put(posts[2], Head(liked, 6, 18))

    assert cache.get(posts[1]) is None
    assert cache.get(posts[0]) == Head(liked, 6, 6)
    assert cache.get(posts[2]) == Head(liked, 6, 18)


def test_a_head_heavier_than_the_cache_is_kept_alone():
    cache = HeadCache(max_weight=3)
    heavy = Head(fold([CREATED, *(PostLiked(username=f"user {n}") for n in range(5))]), 6, 6)
    cache.put(POST, heavy)
    assert cache.get(POST) == heavy
    cache.drop(POST)
    assert cache.get(POST) is None


async def test_a_removed_post_is_remembered_as_removed(log):
    process = await written(log, every=4)
    await process.commands.handle(RemovePost(post_id=POST, username="Ann"), ANYBODY)
    await process.streams.drain()

    assert (await reader(log, every=4).read(POST)).version == 10
