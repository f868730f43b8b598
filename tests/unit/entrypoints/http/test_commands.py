"""Each command of the HTTP API: the command that is dispatched, and the response."""

from hashlib import sha256
from typing import Any

import pytest

from application.errors import VersionMismatch
from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from domain.ids import CommentId, PostId
from unit.entrypoints.http.conftest import Client
from unit.entrypoints.http.fakes import COMMENT, NOW, POST, Scripted, done

NEW_ID = "00000000-0000-7000-8000-000000000002"
"""The first is the correlation id."""


async def test_creating_a_post_returns_its_location(client: Client, scripted: Scripted) -> None:
    scripted.answer = done(version=1, position=42)
    answer = await client.post("/api/v1/posts", json={"author": "ann", "message": "Hello"})
    assert answer.status_code == 201
    assert answer.json() == {"id": POST, "postId": POST, "version": 1, "position": 42}
    assert answer.headers["location"] == f"/api/v1/posts/{POST}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["content-type"] == "application/json"
    assert scripted.last == CreatePost(post_id=PostId(NEW_ID), author="ann", message="Hello", date_posted=NOW)


async def test_a_new_comment_returns_its_id(client: Client, scripted: Scripted) -> None:
    scripted.answer = done(version=2, position=43, comment_id=COMMENT)
    answer = await client.post(f"/api/v1/posts/{POST}/comments", json={"comment": "Yes", "username": "ben"})
    assert answer.status_code == 201
    assert answer.json() == {"id": POST, "postId": POST, "commentId": COMMENT, "version": 2, "position": 43}
    assert answer.headers["location"] == f"/api/v1/posts/{POST}/comments/{COMMENT}"
    assert answer.headers["etag"] == '"2"'
    assert scripted.last == AddComment(
        post_id=POST, comment_id=CommentId(NEW_ID), comment="Yes", username="ben", comment_date=NOW
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "command"),
    [
        (
            "PUT",
            "/message",
            {"message": "New", "username": "ann"},
            EditMessage(post_id=POST, message="New", username="ann", edited_at=NOW),
        ),
        ("POST", "/likes", {"username": "ben"}, LikePost(post_id=POST, username="ben")),
        ("POST", "/likes", {"username": None}, LikePost(post_id=POST, username=None)),
        ("POST", "/likes", {}, LikePost(post_id=POST, username=None)),
        ("POST", "/likes", None, LikePost(post_id=POST, username=None)),
        ("DELETE", "/likes/ben", None, UnlikePost(post_id=POST, username="ben")),
        (
            "PUT",
            f"/comments/{COMMENT}",
            {"comment": "No", "username": "ben"},
            EditComment(post_id=POST, comment_id=COMMENT, comment="No", username="ben", edit_date=NOW),
        ),
        (
            "DELETE",
            f"/comments/{COMMENT}?username=ben",
            None,
            RemoveComment(post_id=POST, comment_id=COMMENT, username="ben"),
        ),
        ("DELETE", "?username=a%20n+n", None, RemovePost(post_id=POST, username="a n n")),
    ],
)
async def test_a_change_is_dispatched_and_returns_version_and_position(
    client: Client, scripted: Scripted, method: str, path: str, body: Any, command: object
) -> None:
    scripted.answer = done(version=5, position=77)
    answer = await client.request(method, f"/api/v1/posts/{POST}{path}", json=body)
    assert answer.status_code == 200
    assert answer.json() == {"id": POST, "postId": POST, "version": 5, "position": 77}
    assert answer.headers["etag"] == '"5"'
    assert scripted.last == command


async def test_ids_are_accepted_in_any_case(client: Client, scripted: Scripted) -> None:
    scripted.answer = done()
    await client.put(
        f"/api/v1/posts/{POST.upper()}/comments/{COMMENT.upper()}", json={"comment": "x", "username": "ben"}
    )
    assert (scripted.last.post_id, scripted.last.comment_id) == (POST, COMMENT)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ann%2Fben", "ann/ben"),
        ("ann%20ben", "ann ben"),
        ("100%25", "100%"),
        ("%252F", "%2F"),
        ("%F0%9F%98%80", "😀"),
        ("a+b", "a+b"),
        ("%2F%2F", "//"),
        ("%00", "\x00"),
    ],
)
async def test_a_name_in_the_path_is_decoded(client: Client, scripted: Scripted, written: str, name: str) -> None:
    scripted.answer = done()
    answer = await client.delete(f"/api/v1/posts/{POST}/likes/{written}")
    assert (answer.status_code, scripted.last.username) == (200, name)


async def test_headers_become_the_command_s_context(client: Client, scripted: Scripted) -> None:
    scripted.answer = done()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await client.post(
        f"/api/v1/posts/{POST}/likes",
        headers={"If-Match": '"7"', "Idempotency-Key": "k-1", "X-Correlation-ID": "c-1", "traceparent": trace},
    )
    context = scripted.context
    assert (context.expected_version, context.correlation_id, context.traceparent) == (7, "c-1", trace)
    assert context.idempotency_key is not None
    assert context.idempotency_key.key == "k-1"


async def test_without_headers_nothing_is_expected(client: Client, scripted: Scripted) -> None:
    scripted.answer = done()
    await client.post(f"/api/v1/posts/{POST}/likes")
    context = scripted.context
    assert (context.expected_version, context.traceparent, context.idempotency_key) == (None, None, None)


@pytest.mark.parametrize("trace", ["00-0-0-0", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x" * 55])
async def test_a_trace_that_is_not_well_formed_is_ignored(client: Client, scripted: Scripted, trace: str) -> None:
    scripted.answer = done()
    await client.post(f"/api/v1/posts/{POST}/likes", headers={"traceparent": trace})
    assert scripted.context.traceparent is None


@pytest.mark.parametrize("key", ["", "with blank", "k" * 256, "schlüssel"])
async def test_a_key_must_be_visible_ascii(client: Client, scripted: Scripted, key: str) -> None:
    headers = [(b"idempotency-key", key.encode())]
    answer = await client.post(f"/api/v1/posts/{POST}/likes", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "Idempotency-Key")
    assert scripted.handed == []


async def digest_of(client: Client, scripted: Scripted, method: str, path: str, content: bytes | None) -> str:
    scripted.answer = done()
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await client.request(method, path, content=content, headers=headers)
    assert answer.status_code in (200, 201)
    assert scripted.context.idempotency_key is not None
    return scripted.context.idempotency_key.request_digest


async def test_every_spelling_of_one_request_has_one_digest(client: Client, scripted: Scripted) -> None:
    path = f"/api/v1/posts/{POST}/message"
    digests = {
        await digest_of(client, scripted, "PUT", path, b'{"message":"x","username":"ann"}'),
        await digest_of(client, scripted, "PUT", path, b'{ "username": "ann",\n "message": "x" }'),
        await digest_of(client, scripted, "PUT", path, b'{"message":"\\u0078","username":"ann"}'),
        await digest_of(
            client, scripted, "PUT", f"/api/v1/posts/{POST.upper()}/message", b'{"message":"x","username":"ann"}'
        ),
    }
    assert len(digests) == 1


async def test_the_digest_stays_the_same_in_every_release(client: Client, scripted: Scripted) -> None:
    """It is stored in the log."""
    body = b'{"username":"ann","message":"x"}'
    digest = await digest_of(client, scripted, "PUT", f"/api/v1/posts/{POST}/message", body)
    assert (
        digest
        == sha256(
            b'PUT\n/api/v1/posts/0192f0c1-7a3e-7cc2-9d52-3f6f0a1b2c3d/message\n{"message":"x","username":"ann"}'
        ).hexdigest()
    )


async def test_other_requests_have_other_digests(client: Client, scripted: Scripted) -> None:
    post = f"/api/v1/posts/{POST}"
    other = f"/api/v1/posts/{COMMENT}"
    like = f"{post}/likes"
    digests = [
        await digest_of(client, scripted, "PUT", f"{post}/message", b'{"message":"x","username":"ann"}'),
        await digest_of(client, scripted, "PUT", f"{post}/message", b'{"message":"y","username":"ann"}'),
        await digest_of(client, scripted, "PUT", f"{other}/message", b'{"message":"x","username":"ann"}'),
        await digest_of(client, scripted, "DELETE", f"{post}?username=ann", None),
        await digest_of(client, scripted, "DELETE", f"{post}?username=ben", None),
        await digest_of(client, scripted, "DELETE", f"{like}/ann", None),
        await digest_of(client, scripted, "DELETE", f"{like}/ann%2F", None),
        await digest_of(client, scripted, "POST", like, None),
    ]
    assert len(set(digests)) == len(digests)


async def test_no_body_is_the_same_request_as_an_anonymous_like(client: Client, scripted: Scripted) -> None:
    path = f"/api/v1/posts/{POST}/likes"
    digests = {await digest_of(client, scripted, "POST", path, body) for body in (None, b"{}", b'{"username":null}')}
    assert len(digests) == 1


async def test_any_of_several_versions_matches(client: Client, scripted: Scripted) -> None:
    scripted.answer = lambda _: (
        done(version=9)
        if scripted.context.expected_version == 8
        else VersionMismatch("It stands at 8.", current_version=8)
    )
    answer = await client.post(f"/api/v1/posts/{POST}/likes", headers={"If-Match": '"3", "8"'})
    assert (answer.status_code, [c.expected_version for c in scripted.contexts]) == (200, [3, 8])


async def test_each_of_several_versions_is_tried_once(client: Client, scripted: Scripted) -> None:
    mismatch = VersionMismatch("It stands at 8.", current_version=8)
    scripted.answer = mismatch
    answer = await client.post(f"/api/v1/posts/{POST}/likes", headers={"If-Match": '"3", "8", "8"'})
    assert (answer.status_code, [c.expected_version for c in scripted.contexts]) == (412, [3, 8])


@pytest.mark.parametrize("tags", ['W/"7"', '"abc"', '"07"', '"-7"', '"", W/"7"', '"99999999999999999999"'])
async def test_tags_without_a_version_never_match(client: Client, scripted: Scripted, tags: str) -> None:
    """If-Match compares strongly."""
    scripted.answer = VersionMismatch("It stands at 7.", current_version=7)
    answer = await client.post(f"/api/v1/posts/{POST}/likes", headers={"If-Match": tags})
    assert (answer.status_code, scripted.context.expected_version) == (412, -1)


async def test_a_star_expects_no_version_of_a_post_that_exists(client: Client, scripted: Scripted) -> None:
    scripted.answer = done()
    await client.post(f"/api/v1/posts/{POST}/likes", headers={"If-Match": "*"})
    assert scripted.context.expected_version is None


@pytest.mark.parametrize("tags", ["*", '"1"', '"abc"'])
async def test_a_new_post_has_no_version_to_match(client: Client, scripted: Scripted, tags: str) -> None:
    answer = await client.post("/api/v1/posts", json={"author": "ann", "message": "x"}, headers={"If-Match": tags})
    assert (answer.status_code, answer.json()["currentVersion"], answer.headers["etag"]) == (412, 0, '"0"')
    assert scripted.handed == []


async def test_a_new_post_is_at_version_0(client: Client, scripted: Scripted) -> None:
    scripted.answer = done()
    answer = await client.post("/api/v1/posts", json={"author": "ann", "message": "x"}, headers={"If-Match": '"0"'})
    assert (answer.status_code, scripted.context.expected_version) == (201, None)
