"""A post is never parked in silence: the projector's log and metrics tell of it, once."""

import logging

import pytest

from application.envelopes import StoredEvent
from contracts.waiting import eventually
from domain.ids import PostId
from old_shapes import CREATED, LIKED_BY_BOB, commits
from small_system import SmallSystem

NEWER = StoredEvent("PostLiked", 9, {"username": "a secret"})


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
        system = await projected([[CREATED], [NEWER], [LIKED_BY_BOB]], [[CREATED]])
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"post {post(0)} is parked from version 2 at position 2 on: Event 2 of post {post(0)} (PostLiked, schema "
            "version 9): this version of Postlog reads up to schema version 2; run a newer one."
        )
    ]
    assert system.metrics.counts["streams_parked"] == 1


async def test_what_waits_behind_it_is_not_told_again(caplog: pytest.LogCaptureFixture):
    system = await projected([[CREATED], [NEWER]])
    caplog.clear()
    await system.event_store.append(commits([[CREATED], [NEWER], [LIKED_BY_BOB]], post(0))[2:])
    async with system.projecting():
        await system.caught_up()
    assert [record for record in caplog.records if "is parked" in record.getMessage()] == []
    assert system.metrics.counts["streams_parked"] == 1


async def test_many_at_once_do_not_flood_the_log(caplog: pytest.LogCaptureFixture):
    system = await projected(*[[[CREATED], [NEWER]]] * 25)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 11
    assert told[-1] == "15 more posts are parked; `postlog parked list` has them"
    assert system.metrics.counts["streams_parked"] == 25


async def test_a_projector_that_starts_tells_what_is_still_parked(caplog: pytest.LogCaptureFixture):
    system = await projected([[CREATED], [NEWER]], [[CREATED], [NEWER]], [[CREATED]])
    caplog.clear()
    async with system.projecting():
        await eventually(lambda: told("2 posts are still parked; `postlog parked list` has them", caplog))


async def told(sentence: str, caplog: pytest.LogCaptureFixture) -> bool:
    return sentence in [record.getMessage() for record in caplog.records]
