"""Parked posts as operators try them again: never into rows of another log, and not for longer than an answer takes."""

import itertools
from dataclasses import replace

import pytest

from adapters.wire.event_codec import MsgspecEventCodec
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import WrongLog
from application.pipeline.parked_posts import ParkedPosts, RetriedAll
from command_process import ANYBODY, SteppingClock
from domain.commands import CreatePost
from domain.event_types import CURRENT
from domain.ids import PostId
from given import NOON
from small_system import SmallSystem

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
    assert [parked.post_id for parked in await posts.some()] == [POSTS[0], POSTS[2]]


async def test_all_are_freed():
    posts = operated(await with_parked())
    assert await posts.retry_all(10) == RetriedAll(freed=3, still=0, untried=False)


async def test_those_for_which_there_is_no_time_are_left():
    posts = operated(await with_parked(), seconds_a_look=4)
    assert await posts.retry_all(10) == RetriedAll(freed=2, still=0, untried=True)


async def test_nothing_of_one_log_goes_into_the_rows_of_another():
    system = await with_parked()
    posts = operated(system)
    system.read_db.live = replace(system.read_db.live, log_id="another log")
    with pytest.raises(WrongLog):
        await posts.retry(POSTS[0])
    with pytest.raises(WrongLog):
        await posts.retry_all(10)
    assert len(await posts.some()) == 3
