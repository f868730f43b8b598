"""Malformed requests: the right 4xx each time, with the wrong field, and nothing is dispatched."""

import json
from typing import Any

import pytest

from domain.limits import Limits
from unit.entrypoints.http.conftest import Client, client_of
from unit.entrypoints.http.fakes import COMMENT, POST, PostService, Scripted, done, services

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (b"", "body", "The body is empty; send a JSON object with author, message."),
        (b"{", "body", "The body is not JSON in UTF-8: Input data was truncated."),
        (b"[]", "body", "must be an object with author, message, not an array"),
        (b"null", "body", "must be an object with author, message, not null"),
        (b"3", "body", "must be an object with author, message, not a number"),
        (b'{"author":"a"}', "message", "is missing"),
        (b'{"author":"a","message":"m","x":1}', "x", "is not allowed; the fields are author, message"),
        (b'{"author":1,"message":"m"}', "author", "must be a string, not a number"),
        (b'{"author":"a","message":["m"]}', "message", "must be a string, not an array"),
        (b'{"author":null,"message":"m"}', "author", "must be a string, not null"),
        (b'{"author":"ben","message":"m","author":"Ann"}', "author", "is duplicated"),
        (b'{"author":"ben","message":"m","\\u0061uthor":"Ann"}', "author", "is duplicated"),
        (b'{"author":"a","message":"m"} x', "body", "The body is not JSON in UTF-8: trailing characters (byte 30)."),
        (b'{"author":"\xff","message":"m"}', "body", "The body is not JSON in UTF-8: a string is not UTF-8."),
        (
            b'{"author":"\\udc00","message":"m"}',
            "body",
            "The body is not JSON in UTF-8: invalid utf-16 surrogate pair (byte 17).",
        ),
        (b"[" * 4_000, "body", "The body is not JSON in UTF-8: it is nested too deeply."),
    ],
)
async def test_a_body_of_another_form_is_400(
    client: Client, scripted: Scripted, body: bytes, path: str, message: str
) -> None:
    answer = await client.post("/api/v1/posts", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed-request"
    assert answer.json()["errors"] == [{"path": path, "message": message}]
    assert scripted.handed == []


async def test_all_errors_of_a_body_are_reported_at_once(client: Client, scripted: Scripted) -> None:
    answer = await client.post("/api/v1/posts", content=b'{"autor":"a","author":7}', headers=JSON)
    assert answer.json()["errors"] == [
        {"path": "autor", "message": "is not allowed; the fields are author, message"},
        {"path": "author", "message": "must be a string, not a number"},
        {"path": "message", "message": "is missing"},
    ]
    assert answer.json()["detail"] == (
        "Invalid body: autor is not allowed; the fields are author, message; author must be a string, not a "
        "number; message is missing."
    )
    assert scripted.handed == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"/api/v1/posts/{POST}/message", b'{"username":"ben","message":"stolen","username":"Ann"}'),
        ("POST", f"/api/v1/posts/{POST}/likes", b'{"username":"ben","username":"Ann"}'),
        ("POST", f"/api/v1/posts/{POST}/comments", b'{"username":"ben","comment":"c","comment":"d"}'),
        ("PUT", f"/api/v1/posts/{POST}/comments/{COMMENT}", b'{"username":"ben","comment":"c","username":"Ann"}'),
    ],
)
async def test_a_duplicated_member_is_refused_by_every_command(
    client: Client, scripted: Scripted, method: str, path: str, body: bytes
) -> None:
    answer = await client.request(method, path, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, "is duplicated")
    assert scripted.handed == []


@pytest.mark.parametrize(
    "header", ["Idempotency-Key", "Content-Type", "Postlog-Min-Position", "Host", "Last-Event-ID", "Authorization"]
)
async def test_a_duplicated_header_is_refused(client: Client, scripted: Scripted, header: str) -> None:
    lines = [(b"host", b"postlog.test"), (b"content-type", b"application/json")]
    name = header.lower().encode()
    lines = [line for line in lines if line[0] != name] + [(name, b"1"), (name, b"2")]
    scope = {"method": "POST", "path": f"/api/v1/posts/{POST}/likes", "http_version": "1.1", "headers": lines}
    answer = await _raw(client, scope, [b"{}"])
    assert (answer["status"], json.loads(answer["body"])["errors"][0]["path"]) == (400, header)
    assert scripted.handed == []


async def test_a_request_without_a_host_is_refused(client: Client, scripted: Scripted) -> None:
    scope = {"method": "POST", "path": f"/api/v1/posts/{POST}/likes", "http_version": "1.1", "headers": []}
    answer = await _raw(client, scope, [b""])
    assert (answer["status"], json.loads(answer["body"])["errors"][0]["path"]) == (400, "Host")
    assert scripted.handed == []


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "text/json"])
async def test_a_body_without_the_media_type_json_is_415(client: Client, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await client.post(f"/api/v1/posts/{POST}/likes", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    assert answer.headers["accept"] == "application/json"


async def test_a_compressed_body_is_415(client: Client) -> None:
    answer = await client.post(f"/api/v1/posts/{POST}/likes", content=b"x", headers=JSON | {"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_json_with_any_parameter_and_case(client: Client, scripted: Scripted, content_type: str) -> None:
    scripted.answer = done()
    await client.post(f"/api/v1/posts/{POST}/likes", content=b"{}", headers={"Content-Type": content_type})
    assert len(scripted.handed) == 1


async def test_a_body_announced_as_too_large_is_discarded(client: Client, scripted: Scripted) -> None:
    """Read to its end, so that a client that sends everything before it reads gets the response."""
    chunks = [b"{" * 4_000, b"{" * 97]
    announced = [(b"content-length", b"4097")]
    answer = await _raw(client, {"method": "POST", "path": "/api/v1/posts", "headers": announced}, chunks)
    assert (answer["status"], json.loads(answer["body"])["code"]) == (413, "body-too-large")
    assert (b"connection", b"close") in answer["headers"]
    assert (chunks, scripted.handed) == ([], [])


async def test_a_client_that_expects_100_continue_is_not_asked_for_a_body_that_is_too_large(client: Client) -> None:
    chunks = [b"{"]
    headers = [(b"content-length", b"4097"), (b"expect", b"100-continue")]
    answer = await _raw(client, {"method": "POST", "path": "/api/v1/posts", "headers": headers}, chunks)
    assert (answer["status"], chunks) == (413, [b"{"])


async def test_a_body_that_grows_too_large_is_not_parsed(client: Client, scripted: Scripted) -> None:
    chunks = [b" " * 1_000] * 5
    answer = await _raw(client, {"method": "POST", "path": "/api/v1/posts"}, chunks)
    assert (answer["status"], json.loads(answer["body"])["code"]) == (413, "body-too-large")
    assert json.loads(answer["body"])["detail"] == "The body is larger than the limit of 4,096 bytes."
    assert chunks == []


async def test_a_client_that_disconnects_before_its_body_is_complete_is_no_error_of_the_service(
    client: Client, scripted: Scripted
) -> None:
    answer = await _raw(client, {"method": "POST", "path": "/api/v1/posts"}, [b"{", None])
    assert (answer["status"], json.loads(answer["body"])["code"]) == (400, "body-incomplete")


async def test_a_body_of_the_largest_size_is_accepted(client: Client, scripted: Scripted) -> None:
    scripted.answer = done()
    body = json.dumps({"author": "a", "message": "m"}).encode()
    await client.post("/api/v1/posts", content=body + b" " * (4_096 - len(body)), headers=JSON)
    assert len(scripted.handed) == 1


@pytest.mark.parametrize("digits", ["9" * 18, "9" * 5_000])
async def test_an_absurd_content_length_is_413(client: Client, digits: str) -> None:
    answer = await client.post("/api/v1/posts", content=b"{}", headers=JSON | {"Content-Length": digits})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "blamed"),
    [
        ("GET", "/api/v1/posts/1", "id"),
        ("GET", f"/api/v1/posts/{{{POST}}}", "id"),
        ("GET", f"/api/v1/posts/{POST.replace('-', '')}", "id"),
        ("GET", f"/api/v1/posts/{POST}0", "id"),
        ("POST", "/api/v1/posts/x/likes", "id"),
        ("GET", "/api/v1/posts/x/events", "id"),
        ("GET", "/api/v1/posts/%F0%9F%98%80/comments", "id"),
        ("DELETE", f"/api/v1/posts/{POST}/comments/x?username=ben", "commentId"),
        ("DELETE", f"/api/v1/posts/{POST}", "username"),
        ("DELETE", f"/api/v1/posts/{POST}/comments/{COMMENT}?user=ben", "user"),
        ("POST", f"/api/v1/posts/{POST}/likes?dry=true", "dry"),
        ("GET", "/api/v1/posts?limt=3", "limt"),
        ("GET", "/api/v1/posts?limit=0", "limit"),
        ("GET", "/api/v1/posts?limit=101", "limit"),
        ("GET", "/api/v1/posts?limit=1.0", "limit"),
        ("GET", "/api/v1/posts?limit=%2B1", "limit"),
        ("GET", "/api/v1/posts?limit=1&limit=2", "limit"),
        ("GET", "/api/v1/posts?limit", "limit"),
        ("GET", "/api/v1/posts?minLikes=-1", "minLikes"),
        ("GET", "/api/v1/posts?minLikes=2147483648", "minLikes"),
        ("GET", "/api/v1/posts?hasComments=yes", "hasComments"),
        ("GET", "/api/v1/posts?author=", "author"),
        ("GET", "/api/v1/posts?author=%00", "author"),
        ("GET", "/api/v1/posts?author=%ED%A0%80", "author"),
        ("GET", "/api/v1/posts?author=%zz", "author"),
        ("GET", "/api/v1/posts?cursor=abc", "cursor"),
        ("GET", f"/api/v1/posts/{POST}?version=0", "version"),
        ("GET", f"/api/v1/posts/{POST}?version=1&at=2026-11-23T15:46:58Z", "version"),
        ("GET", f"/api/v1/posts/{POST}?at=yesterday", "at"),
        ("GET", f"/api/v1/posts/{POST}?at=2026-11-23T15:46:58", "at"),
        ("GET", f"/api/v1/posts/{POST}?at=2026-13-23T15:46:58Z", "at"),
        ("GET", f"/api/v1/posts/{POST}?at=0001-01-01T00:00:00%2B23:00", "at"),
        ("GET", f"/api/v1/posts/{POST}/events?after=-1", "after"),
        ("GET", f"/api/v1/posts/{POST}/events?limit=501", "limit"),
        ("GET", "/api/v1/read-db?x=1", "x"),
    ],
)
async def test_a_bad_id_or_parameter_is_400_and_named(
    client: Client, scripted: Scripted, method: str, path: str, blamed: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed-request"
    assert answer.json()["errors"][0]["path"] == blamed
    assert scripted.handed == []


async def test_all_errors_of_a_query_are_reported_at_once(client: Client) -> None:
    answer = await client.get("/api/v1/posts?limit=0&autor=ann&hasComments=True")
    assert answer.json()["errors"] == [
        {"path": "limit", "message": 'must be a whole number from 1 to 100, not "0"'},
        {
            "path": "autor",
            "message": "is not allowed; the parameters are author, hasComments, minLikes, limit, cursor",
        },
        {"path": "hasComments", "message": 'must be true or false, in lower case, not "True"'},
    ]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/v1/posts/%zz", "The path contains a % that is not followed by two hexadecimal digits; write it as %25."),
        (f"/api/v1/posts/{POST}/likes/%FF", "The path is not UTF-8."),
        (f"/api/v1/posts/{POST}/likes/%ED%A0%80", "The path is not UTF-8."),
    ],
)
async def test_a_path_that_is_not_utf_8_is_400(path: str, detail: str) -> None:
    scope = {"raw_path": path.encode()}
    async with client_of(services(commands=Scripted().commands())) as client:
        answer = await _raw(client, scope)
    assert (answer["status"], json.loads(answer["body"])["detail"]) == (400, detail)


async def _raw(client: Client, changes: dict[str, Any], chunks: list[Any] | None = None) -> dict[str, Any]:
    """A request that no client library would send, its body in chunks; None among them: the client disconnects."""
    answer: dict[str, Any] = {"body": b""}
    chunks = [b""] if chunks is None else chunks

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: dict[str, Any]) -> None:
        answer.update({key: value for key, value in message.items() if key != "body"})
        answer["body"] += message.get("body", b"")

    scope = {"type": "http", "method": "DELETE", "path": "/", "headers": [], "query_string": b"", "scheme": "http"}
    await client.app(scope | changes, receive, send)  # type: ignore[arg-type]
    return answer


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("DELETE", f"/api/v1/posts/{POST}", "the name is the query parameter username, like ?username=ben"),
        (
            "DELETE",
            f"/api/v1/posts/{POST}/comments/{COMMENT}",
            "the name is the query parameter username, like ?username=ben",
        ),
        ("DELETE", f"/api/v1/posts/{POST}/likes/ben", "the name is in the path"),
    ],
)
async def test_a_delete_with_a_body_is_refused_with_the_place_of_the_name(
    client: Client, scripted: Scripted, method: str, path: str, detail: str
) -> None:
    for query in ("", "?username=ann"):
        answer = await client.request(method, path + query, json={"username": "ben"})
        assert (answer.status_code, answer.json()["detail"]) == (400, f"This DELETE takes no body; {detail}.")
    assert scripted.handed == []


@pytest.mark.parametrize("tag", ["7", "'7'", '"7', '"7" "8"', '"7",', "", '"7", 8', 'w/"7"'])
async def test_an_if_match_that_is_not_a_list_of_tags_is_400(client: Client, scripted: Scripted, tag: str) -> None:
    answer = await client.post(f"/api/v1/posts/{POST}/likes", headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "If-Match")
    assert scripted.handed == []


@pytest.mark.parametrize("position", ["-1", "x", "1.5", "9" * 19, ""])
@pytest.mark.parametrize("path", ["", f"/{POST}", f"/{POST}/comments", f"/{POST}?version=1"])
async def test_a_position_that_is_not_a_whole_number_is_400(client: Client, path: str, position: str) -> None:
    answer = await client.get(f"/api/v1/posts{path}", headers={"Postlog-Min-Position": position})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "Postlog-Min-Position")


@pytest.mark.parametrize(
    ("author", "message", "status", "code", "path"),
    [
        ("ann", "m\x00", 400, "text-not-storable", "message"),
        ("   ", "m", 422, "blank-text", "author"),
        ("ann", "m" * 21, 422, "text-too-long", "message"),
        ("ann ", "m", 422, "surrounding-blanks", "author"),
        ("\u3164", "m", 422, "blank-text", "author"),
        ("ann", "\ufeff", 422, "blank-text", "message"),
        ("an\u202en", "m", 422, "hidden-characters", "author"),
        ("an\nn", "m", 422, "hidden-characters", "author"),
    ],
)
async def test_what_the_domain_refuses_names_its_field(
    author: str, message: str, status: int, code: str, path: str
) -> None:
    service = PostService(Limits(message=20))
    async with client_of(services(commands=service.commands())) as client:
        answer = await client.post("/api/v1/posts", json={"author": author, "message": message})
    assert (answer.status_code, answer.json()["code"], answer.json()["errors"][0]["path"]) == (status, code, path)
