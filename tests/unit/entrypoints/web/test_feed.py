"""The feed announces newer posts."""

import re
from datetime import timedelta

from domain.commands import CreatePost
from domain.ids import PostId
from given import NOON
from unit.entrypoints.web.conftest import Client, RealWorld, living


def written(number: int, author: str = "Ann") -> CreatePost:
    post_id = PostId(f"0198c0de-0000-7000-8000-{number:012x}")
    date = NOON + timedelta(minutes=number)
    return CreatePost(post_id=post_id, author=author, message=f"Number {number}", date_posted=date)


async def news_of(client: Client, page: str) -> str:
    asked = re.search(r'data-ask="([^"]+)"', page)
    assert asked is not None
    answer = await client.get(asked.group(1).replace("&amp;", "&"))
    assert answer.status_code == 200
    return answer.text.strip()


async def test_posts_newer_than_the_page_are_counted_and_linked() -> None:
    world = RealWorld()
    async with living(world) as client:
        empty = (await client.get("/")).text
        await world.did(written(1))
        await world.system.caught_up()
        assert await news_of(client, empty) == '<a class="button" href="/">1 new post</a>'
        one = (await client.get("/")).text
        assert await news_of(client, one) == ""
        await world.did(*(written(number) for number in range(2, 24)))
        await world.system.caught_up()
        assert "More than 20 new posts" in await news_of(client, one)


async def test_only_posts_that_match_the_filter_are_counted() -> None:
    world = RealWorld()
    await world.did(written(1))
    async with living(world) as client:
        page = (await client.get("/?author=Ann")).text
        await world.did(written(2, "Bob"), written(3, "ann"))
        await world.system.caught_up()
        assert await news_of(client, page) == '<a class="button" href="/?author=Ann">1 new post</a>'


async def test_an_older_page_does_not_poll() -> None:
    world = RealWorld()
    await world.did(*(written(number) for number in range(1, 23)))
    async with living(world) as client:
        first = (await client.get("/")).text
        older = re.search(r'class="older button" href="([^"]+)"', first)
        assert older is not None
        assert "data-ask" not in (await client.get(older.group(1))).text
