"""Forms, from a browser to the log and back to the page that shows their effect."""

import re

import pytest

from application.envelopes import Commit
from domain.commands import CreatePost, EditMessage, LikePost
from entrypoints.web.demo_data import DEMO_POSTS
from given import LATER, NOON, POST
from unit.entrypoints.web.conftest import OWN_PAGE, Client, RealWorld, living

CREATED = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)


async def sent(client: Client, path: str, **fields: str) -> str:
    """The address that the response redirects to."""
    answer = await client.post(path, data={"key": "k"} | fields, headers=OWN_PAGE)
    assert answer.status_code == 303, answer.text
    location: str = answer.headers["location"]
    return location


async def commits_of(world: RealWorld) -> list[Commit]:
    return await world.system.commit_log.read(0)


def events_of(commits: list[Commit]) -> list[tuple[str, object]]:
    return [(event.type, event.data.get("message", event.data.get("username"))) for c in commits for event in c.events]


async def test_a_form_redirects_to_a_page_that_waits_for_its_position() -> None:
    world = RealWorld()
    async with living(world) as client:
        location = await sent(client, "/posts", name=" Ann ", text="One\r\ntwo")
        assert location == "/?position=1"
        page = await client.get(location)
    assert "One\ntwo</div>" in page.text
    assert "Written to the log at position 1." in page.text
    assert (await commits_of(world))[0].metadata["actor"] == "Ann"


async def test_a_form_that_is_sent_twice_has_one_effect() -> None:
    world = RealWorld()
    async with living(world) as client:
        first = await sent(client, "/posts", name="Ann", text="Once", key="the-same")
        second = await sent(client, "/posts", name="Ann", text="Once", key="the-same")
        other = await client.post(
            "/posts", data={"key": "the-same", "name": "Ann", "text": "Another"}, headers=OWN_PAGE
        )
    assert first == second == "/?position=1"
    assert events_of(await commits_of(world)) == [("PostCreated", "Once")]
    assert other.status_code == 422
    assert "This form was sent before" in other.text
    assert "Another</textarea>" in other.text


async def test_a_like_that_is_in_effect_already_writes_nothing_and_says_so() -> None:
    world = RealWorld()
    await world.did(CREATED)
    async with living(world) as client:
        client.cookies.set("postlog_name", "Bob")
        assert await sent(client, f"/posts/{POST}/likes", key="a") == f"/posts/{POST}?position=2"
        assert await sent(client, f"/posts/{POST}/likes", key="b") == f"/posts/{POST}?position=2&did=in-effect"
        assert await sent(client, f"/posts/{POST}/likes", key="c", anonymous="yes") == f"/posts/{POST}?position=3"
        assert await sent(client, f"/posts/{POST}/unlike", key="d") == f"/posts/{POST}?position=4"
    assert events_of(await commits_of(world))[1:] == [("PostLiked", "Bob"), ("PostLiked", None), ("PostUnliked", "Bob")]


async def test_without_a_name_a_like_is_anonymous() -> None:
    world = RealWorld()
    await world.did(CREATED)
    async with living(world) as client:
        await sent(client, f"/posts/{POST}/likes")
    assert events_of(await commits_of(world))[1:] == [("PostLiked", None)]


async def test_a_form_without_its_key_is_refused() -> None:
    world = RealWorld()
    async with living(world) as client:
        answer = await client.post("/posts", data={"name": "Ann", "text": "x"}, headers=OWN_PAGE)
    assert answer.status_code == 400
    assert await commits_of(world) == []


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"name": "", "text": "x"}, 422, "Choose a name first"),
        ({"name": "Ann", "text": " "}, 422, "message is blank"),
        ({"name": "A" * 101, "text": "x"}, 422, "at most 100 are allowed"),
        ({"name": "Ann", "text": "a\x00b"}, 400, "NUL character"),
    ],
)
async def test_a_refusal_shows_the_reason_and_the_text(fields: dict[str, str], status: int, sentence: str) -> None:
    world = RealWorld()
    async with living(world) as client:
        answer = await client.post("/posts", data={"key": "k"} | fields, headers=OWN_PAGE)
    assert answer.status_code == status
    assert sentence in answer.text
    assert await commits_of(world) == []


async def test_an_edit_applies_after_likes_but_conflicts_with_another_edit() -> None:
    world = RealWorld()
    await world.did(CREATED, LikePost(post_id=POST, username=None), LikePost(post_id=POST, username="Bob"))
    path = f"/posts/{POST}/message"
    async with living(world) as client:
        client.cookies.set("postlog_name", "Ann")
        assert await sent(client, path, text="Hello!", version="1", key="a") == f"/posts/{POST}?position=4"
        await world.did(EditMessage(post_id=POST, message="Good day", username="Ann", edited_at=LATER))
        conflict = await client.post(path, data={"key": "b", "text": "Bye", "version": "4"}, headers=OWN_PAGE)
        assert conflict.status_code == 409
        assert "<mark>Good day</mark>" in conflict.text
        assert ">Bye</textarea>" in conflict.text
        seen = re.search(r'name="version" value="(\d+)"', conflict.text)
        assert seen is not None
        assert seen.group(1) == "5"
        assert len(await commits_of(world)) == 5
        await sent(client, path, text="Bye", version="5", key="c")
    assert events_of(await commits_of(world))[-1] == ("MessageUpdated", "Bye")


async def test_only_the_author_edits_and_removes() -> None:
    world = RealWorld()
    await world.did(CREATED)
    async with living(world) as client:
        client.cookies.set("postlog_name", "Eve")
        for path in ("message", "remove"):
            answer = await client.post(
                f"/posts/{POST}/{path}", data={"key": path, "text": "Mine now", "version": "1"}, headers=OWN_PAGE
            )
            assert (answer.status_code, "Only the author" in answer.text) == (403, True)
    assert len(await commits_of(world)) == 1


async def test_demo_data_has_every_kind_of_event_and_is_written_once() -> None:
    world = RealWorld()
    async with living(world) as client:
        assert "Add demo posts" in (await client.get("/")).text
        first = await sent(client, "/story")
        commits = await commits_of(world)
        assert await sent(client, "/story") == first == f"/?position={len(commits)}"
        page = await client.get(first)
    assert len(await commits_of(world)) == len(commits)
    assert {type_ for type_, _ in events_of(commits)} == {
        "PostCreated",
        "MessageUpdated",
        "PostLiked",
        "PostUnliked",
        "CommentAdded",
        "CommentUpdated",
        "CommentRemoved",
        "PostRemoved",
    }
    assert page.text.count("<article") == len(DEMO_POSTS) - 1
    assert "Add demo posts" not in page.text


async def test_a_page_whose_rows_are_behind_offers_to_show_them_without_waiting() -> None:
    world = RealWorld(patience=0.01)
    async with living(world) as client:
        answer = await client.get("/?position=7&author=a%22b")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert 'href="/?position=7&amp;author=a%22b"' in answer.text
