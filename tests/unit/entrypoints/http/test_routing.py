"""`CalledHandlers` answers as Litestar's own way from a route to its handler does."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.testing import AsyncTestClient
from litestar.types import Receive, Send

from application.query_side.posts import PostDetail
from entrypoints.http.app import IN_FLIGHT, create_app
from entrypoints.http.middleware import RequestMiddleware
from entrypoints.http.problems import ErrorResponses
from entrypoints.serving.responses import RawResponse
from unit.entrypoints.http.conftest import Client
from unit.entrypoints.http.fakes import POST, FakeIds, Scripted, comment_row, done, post_row, services

REQUESTS = [
    ("POST", "/api/v1/posts"),
    ("POST", "/api/v1/posts/"),
    ("POST", "//api//v1/posts"),
    ("POST", f"/api/v1/posts/{POST}/likes"),
    ("POST", f"/api/v1/posts/{POST}/likes/"),
    ("DELETE", f"/api/v1/posts/{POST}/likes/zo%C3%AB%2Fb%25"),
    ("DELETE", f"/api/v1/posts/{POST}/likes/a/b"),
    ("GET", f"/api/v1/posts/{POST}"),
    ("HEAD", f"/api/v1/posts/{POST}"),
    ("OPTIONS", f"/api/v1/posts/{POST}"),
    ("PUT", f"/api/v1/posts/{POST}"),
    ("BREW", f"/api/v1/posts/{POST}"),
    ("GET", "/"),
    ("GET", "/health/live"),
    ("GET", "/docs"),
    ("GET", "/docs/assets/pages.css"),
    ("GET", "/problems/blank-text"),
    ("GET", "/nowhere"),
    ("GET", "/api/v1"),
]


@dataclass
class LitestarsWay:
    app: Litestar

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            await self.app.asgi_router(scope, receive, send)
        except HTTPException as error:
            await RawResponse(error.status_code)(scope, receive, send)


@pytest.fixture(scope="module")
async def both() -> AsyncIterator[tuple[Scripted, Client, Client]]:
    scripted = Scripted()
    given = [services(commands=scripted.commands(), queries=scripted.queries(), ids=FakeIds()) for _ in range(2)]
    called, plain = (create_app(each) for each in given)
    plain.asgi_handler = RequestMiddleware(LitestarsWay(plain), given[1], plain.state[IN_FLIGHT], ErrorResponses())
    async with (
        AsyncTestClient(called, base_url="http://postlog.test") as ours,
        AsyncTestClient(plain, base_url="http://postlog.test") as theirs,
    ):
        yield scripted, ours, theirs


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_a_request_is_answered_as_by_litestar(
    both: tuple[Scripted, Client, Client], method: str, path: str
) -> None:
    scripted, *clients = both
    answers = []
    for client in clients:
        scripted.forget()
        scripted.answer = PostDetail(post=post_row(), comments=[comment_row()]) if method in ("GET", "HEAD") else done()
        body = {"author": "ann", "message": "Hello"} if path.strip("/").endswith("posts") else None
        answer = await client.request(method, path, json=body, follow_redirects=False)
        answers.append((answer.status_code, list(scripted.handed), answer))
    (our_status, our_requests, ours), (their_status, their_requests, theirs) = answers
    assert (our_status, len(our_requests)) == (their_status, len(their_requests))
    if our_status < 400:
        assert (ours.content, ours.headers) == (theirs.content, theirs.headers)
