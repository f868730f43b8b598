"""Likes on a post's page: those of the chosen name, and the authors of imported ones."""

import pytest

from command_process import ANYBODY
from domain.commands import CreatePost, LikePost, UnlikePost
from entrypoints.web import post as post_page
from given import NOON, POST
from unit.entrypoints.web.conftest import OWN_PAGE, Client, RealWorld, living

CREATED = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
NOBODY = LikePost(post_id=POST, username=None)
BOB = LikePost(post_id=POST, username="Bob")


async def shown(client: Client, name: str) -> str:
    client.cookies.set("postlog_name", name)
    return (await client.get(f"/posts/{POST}")).text


async def test_a_post_shows_whether_the_chosen_name_likes_it() -> None:
    world = RealWorld()
    await world.did(CREATED, BOB, NOBODY)
    async with living(world) as client:
        liked = await shown(client, "bob")
        assert 'aria-pressed="true"' in liked
        assert f'action="/posts/{POST}/unlike"' in liked
        assert 'aria-pressed="false"' in await shown(client, "Ann")
        await world.did(UnlikePost(post_id=POST, username="Bob"))
        assert 'aria-pressed="false"' in await shown(client, "Bob")
        client.cookies.clear()
        assert "aria-pressed" not in (await client.get(f"/posts/{POST}")).text


async def test_the_answer_to_a_like_shows_it() -> None:
    world = RealWorld()
    await world.did(CREATED)
    async with living(world) as client:
        client.cookies.set("postlog_name", "Bob")
        for act, state in (("likes", "true"), ("unlike", "false")):
            answer = await client.post(f"/posts/{POST}/{act}", data={"key": act}, headers=OWN_PAGE)
            assert f'aria-pressed="{state}"' in (await client.get(answer.headers["location"])).text


async def test_only_the_last_events_of_a_long_history_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_page, "_EVENTS_READ_FOR_LIKE", 3)
    world = RealWorld()
    await world.did(CREATED, BOB, NOBODY, NOBODY, NOBODY)
    async with living(world) as client:
        unknown = await shown(client, "Bob")
        assert "aria-pressed" not in unknown
        assert f'action="/posts/{POST}/likes"' in unknown
        assert "Remove the like of <bdi>Bob</bdi>" in unknown
        await world.did(UnlikePost(post_id=POST, username="Bob"))
        assert 'aria-pressed="false"' in await shown(client, "Bob")


async def test_likes_of_an_import_are_not_credited_to_the_author() -> None:
    world = RealWorld()
    await world.system.process.commands.commit(
        POST, (CREATED, NOBODY, BOB), ANYBODY, "0198c0de-0000-7000-8000-00000000000f"
    )
    async with living(world) as client:
        html = (await client.get(f"/posts/{POST}")).text
        assert html.count('<bdi class="strong">Ann</bdi>') == 1
        assert '<span class="strong">Somebody</span> liked the post' in html
        assert '<bdi class="strong">Bob</bdi> liked the post' in html
