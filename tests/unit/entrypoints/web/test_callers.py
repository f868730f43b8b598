"""What pages show where callers are known: who is signed in, only what they may do, and what to do if they may not."""

from collections.abc import AsyncIterator

import pytest

from application.mediator import CommandContext
from domain.commands import AddComment, CreatePost
from domain.ids import CommentId, PostId
from domain.limits import Limits
from identities import COOKIE, access_control, token
from unit.entrypoints.http.fakes import COMMENT, NOW, POST, PostService
from unit.entrypoints.web.conftest import OWN_PAGE, Client, browser_of

PAGE = f"/posts/{POST}"


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    """Of a service with a post and a comment by ann."""
    service = PostService(Limits(name=50, message=1_000, comment=500))
    created = CreatePost(post_id=PostId(POST), author="ann", message="Hello", date_posted=NOW)
    commented = AddComment(
        post_id=PostId(POST), comment_id=CommentId(COMMENT), comment="Hm", username="ann", comment_date=NOW
    )
    for command in (created, commented):
        await service.commands().dispatch(command, CommandContext())
    async with browser_of(service, access=access_control(sign_in_url="/oauth2/start")) as client:
        yield client


def signed_in(name: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={token(name)}"}


async def page(client: Client, path: str, name: str | None = None) -> str:
    answer = await client.get(path, headers=signed_in(name) if name else {})
    assert answer.status_code == 200
    return answer.text


async def test_an_anonymous_visitor_reads_and_is_offered_to_sign_in(client: Client) -> None:
    for path in ("/", PAGE):
        html = await page(client, path)
        assert '<a class="button small" href="/oauth2/start">Sign in</a>' in html
        assert 'method="post"' not in html


async def test_a_user_sees_who_is_signed_in_and_can_not_choose_a_name(client: Client) -> None:
    html = await page(client, "/", "rita")
    assert "<bdi>rita</bdi>" in html
    assert 'action="/posts"' in html
    assert 'action="/you"' not in html
    assert 'name="name"' not in html
    refused = await client.post("/you", data={"name": "ann"}, headers=OWN_PAGE | signed_in("rita"))
    assert refused.status_code == 404


async def test_the_chosen_name_of_an_earlier_visit_does_not_count(client: Client) -> None:
    cookie = f"postlog_name=ann; {COOKIE}={token('rita')}"
    html = (await client.get(PAGE, headers={"Cookie": cookie})).text
    assert "<bdi>rita</bdi>" in html
    assert f"{PAGE}/edit" not in html


async def test_only_the_author_is_offered_to_edit_and_a_moderator_to_remove(client: Client) -> None:
    edit, remove_comment = f"{PAGE}/edit", f'<form action="{PAGE}/comments/{COMMENT}/remove"'
    by = {name: await page(client, PAGE, name) for name in ("ann", "rita", "mona")}
    assert [name for name, html in by.items() if edit in html] == ["ann", "mona"]
    assert [name for name, html in by.items() if remove_comment in html] == ["mona"]  # ann's is beside her edit
    assert f'formaction="{PAGE}/comments/{COMMENT}/remove"' in by["ann"]

    forms = {name: await page(client, edit, name) for name in ("ann", "rita", "mona")}
    assert [name for name, html in forms.items() if f'action="{PAGE}/message"' in html] == ["ann"]
    assert [name for name, html in forms.items() if f'action="{PAGE}/remove"' in html] == ["ann", "mona"]
    assert "as a moderator" in forms["mona"]


async def test_only_an_importer_is_offered_to_like_without_a_name(client: Client) -> None:
    offered = [name for name in ("rita", "mona", "iris") if "Like without a name" in await page(client, PAGE, name)]
    assert offered == ["iris"]


async def test_only_operators_see_their_pages_in_the_navigation(client: Client) -> None:
    assert '<a href="/log"' in await page(client, "/", "otto")
    for name in (None, "rita", "mona"):
        assert '<a href="/log"' not in await page(client, "/", name)


async def test_a_page_that_is_refused_says_what_to_do(client: Client) -> None:
    nobody = await client.get("/log")
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"] == 'Bearer realm="postlog"'
    assert "Nobody is signed in" in nobody.text
    assert '<a class="button primary" href="/oauth2/start">Sign in</a>' in nobody.text
    expired = await client.get("/", headers={"Cookie": f"{COOKIE}={token('rita', exp=1)}"})
    assert expired.status_code == 401
    assert "The token has expired; sign in again." in expired.text
    forbidden = await client.get("/log", headers=signed_in("rita"))
    assert forbidden.status_code == 403
    assert "You are signed in as <bdi>rita</bdi>." in forbidden.text
    assert "Ask the operator of this service for the role." in forbidden.text


async def test_no_cookie_with_a_name_is_set(client: Client) -> None:
    form = {"key": "k-1", "text": "Hi"}
    answer = await client.post("/posts", data=form, headers=OWN_PAGE | signed_in("rita"))
    assert (answer.status_code, answer.headers.get("set-cookie")) == (303, None)
