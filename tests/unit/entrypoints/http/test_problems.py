"""Every error has one shape; one table says what each means."""

import importlib
import logging
import pkgutil
from collections.abc import Iterator

import pytest

import application
import domain
from application.errors import (
    NotYetVisible,
    PostParked,
    ReadDbNotReady,
    StoreUnavailable,
    Unavailable,
    VersionMismatch,
    WriteConflict,
)
from domain.errors import (
    BlankText,
    CommentNotFound,
    EventNotReadable,
    NotTheAuthor,
    PostlogError,
    PostNotFound,
    PostRemovedAlready,
)
from entrypoints.serving.errors import BodyTooLarge, ClientGone, RouteNotFound, TooManyStreams
from entrypoints.serving.problem_kinds import PROBLEM_KINDS, kind_of
from unit.entrypoints.http.conftest import Client, client_of
from unit.entrypoints.http.fakes import POST, Scripted, services

MEMBERS = ["type", "title", "status", "detail", "instance", "code", "errors"]


def leaves(cls: type[PostlogError] = PostlogError) -> Iterator[type[PostlogError]]:
    below = cls.__subclasses__()
    if not below:
        yield cls
    for subclass in below:
        yield from leaves(subclass)


def test_every_leaf_of_the_error_tree_is_in_the_table() -> None:
    for package in (domain, application):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    ours = [leaf for leaf in leaves() if leaf.__module__.startswith(("domain.", "application.", "entrypoints."))]
    assert {BodyTooLarge, RouteNotFound, TooManyStreams, ClientGone} < set(ours)
    assert len(ours) > 40
    assert [leaf.__name__ for leaf in ours if leaf.code not in PROBLEM_KINDS] == []


def test_a_new_error_is_treated_as_the_one_above_it() -> None:
    class TapeUnavailable(Unavailable):
        code = "tape-unavailable"

    class Odd(PostlogError):
        code = "odd"

    assert (kind_of(TapeUnavailable("x")).code, kind_of(Odd("x")).status) == ("unavailable", 500)


def test_titles_and_advice_are_there_for_every_code() -> None:
    for code, kind in PROBLEM_KINDS.items():
        assert kind.code == code
        assert kind.type == f"/problems/{code}"
        assert 400 <= kind.status <= 503
        assert kind.title[0].isupper()
        assert kind.advice.endswith(".")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BlankText("author is blank.", path="author"), 422, "blank-text"),
        (PostNotFound("There is no such post.", path="id"), 404, "post-not-found"),
        (CommentNotFound("There is no such comment.", path="commentId"), 404, "comment-not-found"),
        (NotTheAuthor("Not yours.", path="username"), 403, "not-the-author"),
        (PostRemovedAlready("It was removed.", path="id"), 409, "post-removed"),
        (WriteConflict("Others were faster."), 409, "write-conflict"),
    ],
)
async def test_a_refusal_has_its_status_and_names_its_field(
    client: Client, scripted: Scripted, error: PostlogError, status: int, code: str
) -> None:
    scripted.answer = error
    answer = await client.post(f"/api/v1/posts/{POST}/likes")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json()) == MEMBERS
    assert answer.json() == {
        "type": f"/problems/{code}",
        "title": PROBLEM_KINDS[code].title,
        "status": status,
        "detail": error.message,
        "instance": f"/api/v1/posts/{POST}/likes",
        "code": code,
        "errors": [{"path": error.path, "message": error.message}] if error.path else [],
    }


async def test_the_current_version_is_in_header_and_body(client: Client, scripted: Scripted) -> None:
    scripted.answer = VersionMismatch("The post is at version 9.", current_version=9)
    answer = await client.post(f"/api/v1/posts/{POST}/likes", headers={"If-Match": '"8"'})
    assert (answer.status_code, answer.headers["etag"], answer.json()["currentVersion"]) == (412, '"9"', 9)
    assert answer.json()["errors"][0]["path"] == "If-Match"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (StoreUnavailable("It does not answer.", path="event_store.sqlite.path"), "1"),
        (NotYetVisible("The rows are older.", retry_after=2), "2"),
        (ReadDbNotReady("It is being filled."), "1"),
        (PostParked("The post waits."), "1"),
        (EventNotReadable("It has an event of a newer version."), "1"),
    ],
)
async def test_a_temporary_error_says_when_to_retry(
    client: Client, scripted: Scripted, error: PostlogError, seconds: str
) -> None:
    scripted.answer = error
    answer = await client.get(f"/api/v1/posts/{POST}", headers={"X-Correlation-ID": "c-9"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, seconds)
    assert (answer.json()["code"], answer.json()["correlationId"]) == (error.code, "c-9")


async def test_an_unexpected_error_does_not_reveal_its_cause_and_is_logged(
    client: Client, scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.answer = ZeroDivisionError("a secret")
    answer = await client.get("/api/v1/posts", headers={"X-Correlation-ID": "c-1"})
    assert answer.status_code == 500
    assert (answer.json()["code"], answer.json()["correlationId"]) == ("internal-error", "c-1")
    assert "secret" not in answer.text
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [type(record.exc_info[1]) for record in logged if record.exc_info] == [ZeroDivisionError]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "route-not-found"),
        ("GET", f"/api/v1/posts/{POST}/likes/a/b", 404, "route-not-found"),
        ("PUT", "/api/v1/posts", 405, "method-not-allowed"),
        ("BREW", "/api/v1/posts", 405, "method-not-allowed"),
        ("GET", "/problems/nothing-of-ours", 404, "route-not-found"),
        ("GET", "/docs/assets/..%2Fdocs.js", 404, "route-not-found"),
    ],
)
async def test_errors_of_litestar_have_the_same_shape(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"], answer.json()["instance"]) == (status, code, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(answer.json()) == MEMBERS


async def test_a_wrong_method_is_refused_with_the_allowed_ones(client: Client) -> None:
    answer = await client.put("/api/v1/posts")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer.json()["detail"] == (
        "/api/v1/posts does not allow PUT; it allows GET, HEAD, OPTIONS, POST. /docs lists all paths."
    )


async def test_an_invalid_host_is_a_problem_too(client: Client) -> None:
    answer = await client.get("/health/live", headers={"Host": "a b"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")


async def test_every_type_is_a_page_that_is_served(client: Client) -> None:
    for kind in PROBLEM_KINDS.values():
        page = await client.get(kind.type, headers={"Accept": "text/html,*/*"})
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert kind.code in page.text


async def test_a_type_is_described_in_the_media_type_asked_for(client: Client) -> None:
    as_json = await client.get("/problems/blank-text", headers={"Accept": "application/problem+json"})
    as_text = await client.get("/problems/blank-text")
    assert as_json.json() == {
        "type": "/problems/blank-text",
        "code": "blank-text",
        "status": 422,
        "title": "A text is blank",
        "advice": "Send at least one visible character.",
    }
    assert as_text.text == ("A text is blank (status 422, code blank-text).\nSend at least one visible character.\n")
    assert as_json.headers["vary"] == as_text.headers["vary"] == "accept"


async def test_the_list_of_problems_is_complete(client: Client) -> None:
    listed = (await client.get("/problems", headers={"Accept": "application/json"})).json()["problems"]
    page = (await client.get("/problems", headers={"Accept": "text/html"})).text
    text = (await client.get("/problems")).text
    assert {problem["code"] for problem in listed} == set(PROBLEM_KINDS)
    assert all(f'href="/problems/{code}"' in page and code in text for code in PROBLEM_KINDS)


async def test_an_error_after_the_response_has_started_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A client must not mistake half of a response for the whole."""
    async with client_of(services()) as client:

        async def send(message: object) -> None:
            raise ConnectionResetError("the client is gone")

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "GET", "path": "/health/live", "headers": [], "query_string": b""}
        with pytest.raises(ConnectionResetError, match="the client is gone"):
            await client.app(scope, receive, send)  # type: ignore[arg-type]
    assert "unexpected error" in caplog.text
