"""Parked streams catch up in order once the cause is fixed, also beside a running projector.

Parked posts as operators try them again: never into rows of another log, and not for longer than an answer takes.

A post is never parked in silence: the projector's log and metrics tell of it, once.
"""

import itertools
import logging
from dataclasses import replace

import pytest

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import PostParked, WrongLog
from application.pipeline.parking import ParkedPosts, RetrySummary
from application.ports.post_views import PostFilter
from application.query_side.posts import GetPost, ListPosts
from command_process import ANYBODY, SteppingClock
from contracts.waiting import eventually
from domain.commands import CreatePost, LikePost
from domain.errors import EventNotReadable
from domain.event_types import CURRENT
from domain.ids import PostId
from domain.upcasters import STEPS
from domain.upcasting import UpcasterChain, drop_event
from given import NOON, POST
from old_shapes import CREATED, LIKED_BY_BOB, commits
from small_system import SmallSystem

CREATE = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
PINNED = StoredEvent("PostShared", 1, {"username": "Ann"})
NEWER = MsgspecEventCodec(UpcasterChain((*STEPS, drop_event(("PostShared", 1)))))


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
    assert "PostShared" in result.still.reason


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
    async def nothing(_) -> list:
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


POSTS = [PostId(f"0198c0de-0000-7000-8000-00000000000{number}") for number in range(1, 4)]


OLD_CODEC = MsgspecEventCodec(event_types=[known for known in CURRENT if known.name != "PostLiked"])
"""Of a version that knows no likes."""


async def with_parked() -> SmallSystem:
    """Three posts, each with a like that its projector could not read."""
    system = SmallSystem(codec=OLD_CODEC)
    for number, post_id in enumerate(POSTS):
        created = CreatePost(post_id=post_id, author="Ann", message="Hello", date_posted=NOON)
        await system.process.commands.handle(created, ANYBODY)
        like = ProposedCommit(
            stream_id=post_id,
            version=2,
            commit_id=f"00000000-0000-7000-8000-00000000000{number}",
            recorded_at=NOON,
            metadata={},
            events=(StoredEvent("PostLiked", 2, {"username": "Bob"}),),
        )
        await system.event_store.append([like])
    async with system.projecting():
        await system.caught_up()
    return system


def operated(system: SmallSystem, seconds_a_look: float = 0.0) -> ParkedPosts:
    """By a version that reads everything."""
    newer = SmallSystem(system.log, system.read_db)
    clock, looks = SteppingClock(), itertools.count()
    clock.monotonic = lambda: next(looks) * seconds_a_look
    return ParkedPosts(
        streams=newer.parked_streams, retry=newer.retry, store=newer.store, log=newer.commit_log, clock=clock
    )


async def test_one_is_freed_and_the_others_wait():
    posts = operated(await with_parked())
    assert (await posts.retry(POSTS[1])).still is None
    assert [parked.post_id for parked in await posts.page()] == [POSTS[0], POSTS[2]]


async def test_all_are_freed():
    posts = operated(await with_parked())
    assert await posts.retry_all(10) == RetrySummary(freed=3, still=0, untried=False)


async def test_those_for_which_there_is_no_time_are_left():
    posts = operated(await with_parked(), seconds_a_look=4)
    assert await posts.retry_all(10) == RetrySummary(freed=2, still=0, untried=True)


async def test_nothing_of_one_log_goes_into_the_rows_of_another():
    system = await with_parked()
    posts = operated(system)
    system.read_db.live = replace(system.read_db.live, log_id="another log")
    with pytest.raises(WrongLog):
        await posts.retry(POSTS[0])
    with pytest.raises(WrongLog):
        await posts.retry_all(10)
    assert len(await posts.page()) == 3


UNKNOWN_VERSION = StoredEvent("PostLiked", 9, {"username": "a secret"})


def post(number: int) -> PostId:
    return PostId(f"0198c0de-0000-7000-8000-{number:012x}")


async def projected(*histories) -> SmallSystem:
    system = SmallSystem(batch_size=1_000)
    for number, history in enumerate(histories):
        await system.event_store.append(commits(history, post(number)))
    async with system.projecting():
        await system.caught_up()
    return system


async def test_it_is_logged_with_its_place_and_reason_and_counted(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        system = await projected([[CREATED], [UNKNOWN_VERSION], [LIKED_BY_BOB]], [[CREATED]])
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"post {post(0)} is parked from version 2 at position 2: Event 2 of post {post(0)} (PostLiked, schema "
            "version 9): this version of Postlog reads up to schema version 2; run a newer one."
        )
    ]
    assert system.metrics.counts["streams_parked"] == 1


async def test_later_events_of_a_parked_post_are_not_logged_again(caplog: pytest.LogCaptureFixture):
    system = await projected([[CREATED], [UNKNOWN_VERSION]])
    caplog.clear()
    await system.event_store.append(commits([[CREATED], [UNKNOWN_VERSION], [LIKED_BY_BOB]], post(0))[2:])
    async with system.projecting():
        await system.caught_up()
    assert [record for record in caplog.records if "is parked" in record.getMessage()] == []
    assert system.metrics.counts["streams_parked"] == 1


async def test_many_at_once_do_not_flood_the_log(caplog: pytest.LogCaptureFixture):
    system = await projected(*[[[CREATED], [UNKNOWN_VERSION]]] * 25)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 11
    assert told[-1] == "15 more posts are parked; `postlog parked list` has them"
    assert system.metrics.counts["streams_parked"] == 25


async def test_a_projector_that_starts_logs_what_is_still_parked(caplog: pytest.LogCaptureFixture):
    system = await projected([[CREATED], [UNKNOWN_VERSION]], [[CREATED], [UNKNOWN_VERSION]], [[CREATED]])
    caplog.clear()
    async with system.projecting():
        await eventually(lambda: told("2 posts are still parked; `postlog parked list` has them", caplog))


async def told(sentence: str, caplog: pytest.LogCaptureFixture) -> bool:
    return sentence in [record.getMessage() for record in caplog.records]
