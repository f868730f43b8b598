"""A version of a post with its changes marked, and the window of its events."""

from collections.abc import Sequence

import pytest

from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    PostCommand,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from entrypoints.web.post_history import WINDOW, PostAsOf, post_as_of, timeline
from given import COMMENT, LATER, NOON, POST
from unit.entrypoints.web.conftest import RealWorld

CREATED = CreatePost(post_id=POST, author="Ann", message="One two three", date_posted=NOON)
HISTORY: Sequence[PostCommand] = [
    CREATED,
    LikePost(post_id=POST, username="Bob"),
    UnlikePost(post_id=POST, username="Bob"),
    AddComment(post_id=POST, comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON),
    EditComment(post_id=POST, comment_id=COMMENT, comment="Very nice", username="Bob", edit_date=LATER),
    EditMessage(post_id=POST, message="One 2 three", username="Ann", edited_at=LATER),
    RemoveComment(post_id=POST, comment_id=COMMENT, username="Bob"),
    RemovePost(post_id=POST, username="Ann"),
]


@pytest.fixture(scope="module")
async def world() -> RealWorld:
    world = RealWorld()
    await world.did(*HISTORY)
    return world


async def at(world: RealWorld, version: int) -> PostAsOf:
    return await post_as_of(world.queries(), POST, version)


async def test_likes_are_marked_with_the_change_of_their_number(world: RealWorld) -> None:
    assert [(await at(world, version)).change.likes for version in (1, 2, 3)] == [0, 1, -1]


async def test_an_edited_message_is_split_into_pieces(world: RealWorld) -> None:
    moment = await at(world, 6)
    assert moment.change.message == [("kept", "One "), ("gone", "two"), ("added", "2"), ("kept", " three")]
    assert (await at(world, 5)).change.message == ()


async def test_added_edited_and_removed_comments_are_marked(world: RealWorld) -> None:
    added, edited, removed = [await at(world, version) for version in (4, 5, 7)]
    assert (added.change.comment_id, added.change.comment) == (COMMENT, ())
    assert edited.change.comment == [("gone", "Nice"), ("added", "Very nice")]
    assert removed.change.removed_comment is not None
    assert removed.change.removed_comment.comment == "Very nice"
    assert list(removed.comments) == []


async def test_of_a_removed_post_the_last_state_is_shown(world: RealWorld) -> None:
    moment = await at(world, 8)
    assert moment.post is None
    assert moment.shown is not None
    assert (moment.shown.message, moment.shown.version) == ("One 2 three", 7)


async def test_the_timeline_is_a_window_of_a_long_history() -> None:
    world = RealWorld()
    await world.did(CREATED, *[LikePost(post_id=POST, username=None)] * 99)
    queries = world.queries()

    async def versions(around: int, after: int | None = None) -> tuple[list[int], int | None, int | None]:
        window = await timeline(queries, POST, 100, around, after)
        return [told.event.version for told in window.events], window.earlier, window.later

    assert await versions(100) == (list(range(77, 101)), 52, None)
    assert await versions(1) == (list(range(1, 25)), None, 24)
    assert await versions(50) == (list(range(39, 63)), 14, 62)
    assert await versions(100, after=52) == (list(range(53, 77)), 28, 76)
    assert await versions(100, after=10) == (list(range(11, 35)), 0, 34)
    assert await versions(100, after=10_000) == ([100], 75, None)
    assert WINDOW == 24


async def test_long_texts_of_an_event_are_cut() -> None:
    world = RealWorld()
    await world.did(CreatePost(post_id=POST, author="Ann", message="x" * 5_000, date_posted=NOON))
    window = await timeline(world.queries(), POST, 1, 1, None)
    assert window.events[0].data["message"] == "x" * 240 + "…"
