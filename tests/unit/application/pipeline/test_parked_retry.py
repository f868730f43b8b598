"""Parked streams come up to date in order, once the cause is mended, also beside a running projector."""

import pytest

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import PostParked
from application.ports.post_views import PostFilter
from application.query_side.queries import GetPost, ListPosts
from command_process import ANYBODY
from domain.commands import CreatePost, LikePost
from domain.errors import EventNotReadable
from domain.upcasters import STEPS
from domain.upcasting import UpcasterChain, drop_event
from given import NOON, POST
from small_system import SmallSystem

CREATE = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
PINNED = StoredEvent("PostPinned", 1, {"username": "Ann"})
NEWER = MsgspecEventCodec(UpcasterChain((*STEPS, drop_event(("PostPinned", 1)))))


async def append(system: SmallSystem, version: int, *events: StoredEvent) -> None:
    commit = ProposedCommit(
        stream_id=POST,
        version=version,
        commit_id=f"0198c0de-0000-7000-9999-{version:012d}",
        recorded_at=NOON,
        metadata={},
        events=events,
    )
    await system.event_store.append([commit])


def liked(name: str | None = None) -> StoredEvent:
    return StoredEvent("PostLiked", 2, {"username": name})


@pytest.fixture
async def parked():
    """A post parked at version 2, with two more commits that wait, of which a projector has seen one."""
    system = SmallSystem(patience=0.2)
    await system.process.commands.handle(CREATE, ANYBODY)
    await append(system, 2, PINNED)
    await append(system, 3, liked("Bob"))
    async with system.projecting():
        await system.caught_up()
    await append(system, 4, liked("Cid"), liked("Dan"))
    return system


async def test_a_projector_of_newer_code_frees_it_at_its_start(parked):
    newer = SmallSystem(parked.log, parked.read_db, NEWER)
    async with newer.projecting():
        await newer.caught_up()

    assert await newer.parked_streams.parked() == []
    post = newer.read_db.live_rows.posts[POST]
    assert (post.likes, post.version) == (3, 5)
    assert newer.metrics.counts["parked_streams_freed"] == 1


async def test_the_same_code_leaves_it_parked_with_its_reason(parked):
    result = await parked.retry.retry(POST)

    assert result.still is not None
    assert (result.still.version, result.still.code) == (2, "event-not-readable")
    assert "PostPinned" in result.still.reason


async def test_a_retry_takes_what_no_projector_has_seen_yet_too(parked):
    newer = SmallSystem(parked.log, parked.read_db, NEWER)

    result = await newer.retry.retry(POST)

    assert result.still is None
    assert newer.read_db.live_rows.posts[POST].version == 5


async def test_a_post_that_is_not_parked_is_left_alone():
    system = SmallSystem()
    assert (await system.retry.retry(POST)).still is None
    assert system.read_db.live_rows.posts == {}


async def test_what_a_projector_leaves_out_meanwhile_keeps_it_parked(parked):
    """After the retry has read the log, a projector leaves out one more commit. Freed now, it would be lost."""
    newer = SmallSystem(parked.log, parked.read_db, NEWER)
    read_stream = newer.event_store.read_stream
    reads = 0

    async def read_and_let_the_projector_pass(post_id, after_version=0, limit=1_000):
        nonlocal reads
        commits = await read_stream(post_id, after_version, limit)
        reads += 1
        if reads == 1:
            await append(newer, 6, liked("Eve"))
            async with parked_projecting(parked):
                await parked.caught_up()
        return commits

    newer.retry._past_events = Reading(read_and_let_the_projector_pass)
    result = await newer.retry.retry(POST)

    assert result.still is None
    assert newer.read_db.live_rows.posts[POST].version == 6
    assert reads > 1


class Reading:
    def __init__(self, read_stream) -> None:
        self.read_stream = read_stream


def parked_projecting(parked: SmallSystem):
    async def nothing() -> list:
        return []

    parked.follower._parked.retry_all = nothing
    return parked.projecting()


async def test_a_query_for_what_waits_is_answered_that_it_is_parked(parked):
    with pytest.raises(PostParked):
        await parked.queries.ask(GetPost(post_id=POST, min_position=3))

    older = await parked.queries.ask(GetPost(post_id=POST, min_position=1))
    page = await parked.queries.ask(ListPosts(wanted=PostFilter(), limit=10))
    assert older.post.version == 1
    assert page.parked == 1


async def test_a_command_on_a_post_that_it_cannot_read_is_refused(parked):
    with pytest.raises(EventNotReadable):
        await SmallSystem(parked.log, parked.read_db).process.commands.handle(
            LikePost(post_id=POST, username="Eve"), ANYBODY
        )
