"""Each query of the HTTP API: the query that is asked, and the response."""

import re
from datetime import UTC, datetime

import pytest

from application.ports.post_views import CommentKeyset, PostFilter, PostKey
from application.query_side.history import HistoryPage, ListEvents
from application.query_side.posts import CommentsPage, GetPost, ListComments, ListPosts, PostDetail, PostsPage
from application.query_side.posts_as_of import GetPostAsOf
from application.query_side.status import GetReadDbStatus
from domain.limits import Limits
from unit.entrypoints.http.conftest import Client, client_of
from unit.entrypoints.http.fakes import (
    COMMENT,
    NOW,
    POST,
    PostService,
    Scripted,
    comment_row,
    past_event,
    post_row,
    read_db_status,
    services,
)

SUMMARY = {
    "postId": POST,
    "author": "ann",
    "datePosted": "2026-11-23T15:46:58.123Z",
    "message": "Hello",
    "likes": 2,
    "version": 4,
    "commentsCount": 1,
}
COMMENT_JSON = {
    "commentId": COMMENT,
    "username": "ben",
    "comment": "Well said",
    "commentDate": "2026-11-23T15:46:58.123Z",
    "edited": False,
}


def one_page(**changes: object) -> PostsPage:
    return PostsPage(**({"posts": [post_row()], "next": None, "parked": 0} | changes))  # type: ignore[arg-type]


async def test_posts_are_listed_in_pages(client: Client, scripted: Scripted) -> None:
    scripted.answer = one_page()
    answer = await client.get("/api/v1/posts")
    assert answer.json() == {"posts": [SUMMARY], "nextCursor": None}
    assert "postlog-parked" not in answer.headers
    assert scripted.last == ListPosts(wanted=PostFilter(), limit=20)


async def test_a_whole_second_has_three_digits_too(client: Client, scripted: Scripted) -> None:
    scripted.answer = one_page(posts=[post_row(date_posted=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))])
    answer = await client.get("/api/v1/posts")
    assert answer.json()["posts"][0]["datePosted"] == "2026-01-02T03:04:05.000Z"


async def test_filters_and_position_reach_the_query(client: Client, scripted: Scripted) -> None:
    scripted.answer = one_page()
    await client.get(
        "/api/v1/posts?author=J%C3%B6rg+M&hasComments=false&minLikes=3&limit=100",
        headers={"Postlog-Min-Position": "12"},
    )
    assert scripted.last == ListPosts(
        wanted=PostFilter(author="Jörg M", has_comments=False, min_likes=3), limit=100, min_position=12
    )


async def test_a_cursor_continues_where_the_page_ended(client: Client, scripted: Scripted) -> None:
    end = PostKey(NOW, POST)
    scripted.answer = one_page(next=end)
    cursor = (await client.get("/api/v1/posts?author=ann")).json()["nextCursor"]
    await client.get(f"/api/v1/posts?author=ann&cursor={cursor}")
    assert scripted.last.after == end


async def test_a_cursor_of_another_list_is_refused(client: Client, scripted: Scripted) -> None:
    scripted.answer = one_page(next=PostKey(NOW, POST))
    cursor = (await client.get("/api/v1/posts?author=ann")).json()["nextCursor"]
    for path in (f"/api/v1/posts?cursor={cursor}", f"/api/v1/posts/{POST}/comments?cursor={cursor}"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "cursor")


async def test_a_cursor_that_was_tampered_with_is_refused(client: Client, scripted: Scripted) -> None:
    scripted.answer = one_page(next=PostKey(NOW, POST))
    cursor = (await client.get("/api/v1/posts")).json()["nextCursor"]
    for place in (0, 5, 20, -1):
        changed = list(cursor)
        changed[place] = "A" if changed[place] != "A" else "B"
        answer = await client.get(f"/api/v1/posts?cursor={''.join(changed)}")
        assert answer.status_code == 400


async def test_parked_posts_are_counted_in_a_header(client: Client, scripted: Scripted) -> None:
    scripted.answer = one_page(parked=3)
    assert (await client.get("/api/v1/posts")).headers["postlog-parked"] == "3"


async def test_a_post_comes_with_its_comments_and_its_version_as_etag(client: Client, scripted: Scripted) -> None:
    scripted.answer = PostDetail(post=post_row(), comments=[comment_row()])
    answer = await client.get(f"/api/v1/posts/{POST}", headers={"Postlog-Min-Position": "0"})
    assert answer.json() == SUMMARY | {"comments": [COMMENT_JSON]}
    assert re.fullmatch(r'"4-[0-9a-f]{8}"', answer.headers["etag"])
    assert answer.headers["cache-control"] == "no-cache"
    assert scripted.last == GetPost(post_id=POST, min_position=0)


@pytest.mark.parametrize("tags", ["{}", "W/{}", '"3", {}', "*", '"x,y",{}', "{gzip}", "W/{gzip}"])
async def test_a_representation_that_the_client_has_is_not_sent_again(
    client: Client, scripted: Scripted, tags: str
) -> None:
    scripted.answer = PostDetail(post=post_row(), comments=[])
    tag = (await client.get(f"/api/v1/posts/{POST}")).headers["etag"]
    has = tags.format(tag, gzip=f'{tag[:-1]}-gzip"')
    answer = await client.get(f"/api/v1/posts/{POST}", headers={"If-None-Match": has})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("tags", ['"3"', '"4"', '"44"', '"04"', '"4-00000000"'])
async def test_another_representation_is_sent(client: Client, scripted: Scripted, tags: str) -> None:
    scripted.answer = PostDetail(post=post_row(), comments=[])
    assert (await client.get(f"/api/v1/posts/{POST}", headers={"If-None-Match": tags})).status_code == 200


async def test_a_repaired_row_is_sent_although_its_version_is_the_same(client: Client, scripted: Scripted) -> None:
    scripted.answer = PostDetail(post=post_row(likes=7), comments=[])
    tag = (await client.get(f"/api/v1/posts/{POST}")).headers["etag"]
    scripted.answer = PostDetail(post=post_row(likes=2), comments=[])
    repaired = await client.get(f"/api/v1/posts/{POST}", headers={"If-None-Match": tag})
    assert (repaired.status_code, repaired.json()["likes"]) == (200, 2)


async def test_a_long_response_is_compressed_for_a_client_that_accepts_it(client: Client, scripted: Scripted) -> None:
    scripted.answer = PostDetail(post=post_row(message="x" * 5_000), comments=[])
    plain = await client.get(f"/api/v1/posts/{POST}", headers={"Accept-Encoding": "identity, gzip;q=0"})
    packed = await client.get(f"/api/v1/posts/{POST}", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 500
    assert packed.headers["etag"] == f'{plain.headers["etag"][:-1]}-gzip"'
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    assert packed.json() == plain.json()
    assert packed.content.endswith(b"}\n")


async def test_a_short_response_is_not_compressed(client: Client, scripted: Scripted) -> None:
    scripted.answer = PostDetail(post=post_row(), comments=[])
    answer = await client.get(f"/api/v1/posts/{POST}", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("version=3", GetPostAsOf(post_id=POST, version=3)),
        ("at=2026-11-23T15:46:58.1239Z", GetPostAsOf(post_id=POST, at=NOW)),
        ("at=2026-11-23T16:46:58.123%2B01:00", GetPostAsOf(post_id=POST, at=NOW)),
        ("at=2026-11-23t15:46:58.123z", GetPostAsOf(post_id=POST, at=NOW)),
    ],
)
async def test_a_post_is_read_as_it_was(client: Client, scripted: Scripted, query: str, asked: GetPostAsOf) -> None:
    scripted.answer = PostDetail(post=post_row(version=3), comments=[])
    answer = await client.get(f"/api/v1/posts/{POST}?{query}")
    assert (answer.status_code, answer.headers["etag"][:3], scripted.last) == (200, '"3-', asked)


async def test_comments_are_listed_in_pages(client: Client, scripted: Scripted) -> None:
    end = CommentKeyset(NOW, COMMENT)
    scripted.answer = CommentsPage(comments=[comment_row(edited=True)], next=end)
    answer = await client.get(f"/api/v1/posts/{POST}/comments?limit=1", headers={"Postlog-Min-Position": "5"})
    assert answer.json()["comments"] == [COMMENT_JSON | {"edited": True}]
    assert scripted.last == ListComments(post_id=POST, limit=1, min_position=5)
    await client.get(f"/api/v1/posts/{POST}/comments?cursor={answer.json()['nextCursor']}")
    assert scripted.last == ListComments(post_id=POST, limit=20, after=end)


async def test_events_are_listed_with_what_they_were_stored_as(client: Client, scripted: Scripted) -> None:
    scripted.answer = HistoryPage(events=[past_event(version=3, position=8)], next_after=3)
    answer = await client.get(f"/api/v1/posts/{POST}/events?after=2&limit=500")
    assert answer.json() == {
        "events": [
            {
                "type": "PostLiked",
                "schemaVersion": 1,
                "storedType": "PostLiked",
                "storedSchemaVersion": 1,
                "version": 3,
                "position": 8,
                "recordedAt": "2026-11-23T15:47:01.123Z",
                "actor": "ann",
                "data": {"username": "ann"},
            }
        ],
        "nextAfter": 3,
    }
    assert scripted.last == ListEvents(post_id=POST, limit=500, after=2)


async def test_the_position_of_the_read_database_is_returned(client: Client, scripted: Scripted) -> None:
    scripted.answer = read_db_status()
    answer = await client.get("/api/v1/read-db")
    assert answer.json() == {
        "adapter": "memory",
        "generation": 1,
        "position": 7,
        "lag": 2,
        "parked": 1,
        "partitions": [{"partition": 0, "position": 7, "lag": 2}],
    }
    assert scripted.last == GetReadDbStatus()


async def test_every_page_of_a_long_list_is_reached() -> None:
    """Page by page to the end, on the service in dictionaries."""
    service = PostService(Limits())
    async with client_of(services(commands=service.commands(), queries=service.queries())) as whole:
        made = [(await whole.post("/api/v1/posts", json={"author": "a", "message": str(n)})).json() for n in range(7)]
        seen, cursor = [], ""
        while cursor is not None:
            page = (await whole.get(f"/api/v1/posts?limit=3{cursor and '&cursor='}{cursor}")).json()
            seen += [post["postId"] for post in page["posts"]]
            cursor = page["nextCursor"]
    assert seen == [post["id"] for post in reversed(made)]
