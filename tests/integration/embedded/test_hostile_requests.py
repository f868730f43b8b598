"""Hostile requests, over raw sockets, to a service that other clients use at the same time."""

import json
import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from running import embedded, ticks

POSTS = b"/api/v1/posts"
METHODS = [b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE", b"get", b"G\x00T", b"", b"\xff"]
NAMES = [
    b"Host",
    b"Content-Type",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Idempotency-Key",
    b"If-Match",
    b"If-None-Match",
    b"Postlog-Min-Position",
    b"Last-Event-ID",
    b"Accept",
    b"Accept-Encoding",
    b"Cookie",
    b"Origin",
    b"Sec-Fetch-Site",
    b"X-Correlation-ID",
    b"traceparent",
    b"Range",
    b"Expect",
    b"X",
]
VALUES = [
    b"",
    b"1",
    b"-1",
    b"9" * 30,
    b"*",
    b'"1"',
    b'W/"1"',
    b'"1',
    b"application/json",
    b"application/x-www-form-urlencoded",
    b"text/event-stream",
    b"chunked",
    b"gzip;q=0, *",
    b"http://[",
    b"null",
    b"same-origin",
    b"postlog_name=%FF",
    b"postlog_name=" + b"a" * 5_000,
    b"bytes=0-1",
    b"100-continue",
    b"\x00",
    b"\xf0\x9f\x98\x80",
    b"a" * 9_000,
]
BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"{" * 3_000,
    b'{"author":"a","message":"m"}',
    b'{"author":"a","message":"m","author":"b"}',
    b'{"author":"\\ud800","message":"m"}',
    b'{"author":"a","message":"' + b"-+" * 5_000 + b'"}',
    b'{"username":"a","message":"' + b"-" * 9_999 + b'"}',
    b'{"username":1e999}',
    b'{"username":' + b"9" * 5_000 + b"}",
    b"author=a&text=b&key=k",
    b"&".join(b"f%d=1" % n for n in range(60)),
    b"\xff\xfe\x00",
    b"x" * 100_000,
]
QUERIES = [
    b"",
    b"?",
    b"?version=1",
    b"?version=99999999999",
    b"?version=1&at=2026-01-01T00:00:00Z",
    b"?at=0001-01-01T00:00:00%2B23:59",
    b"?cursor=AAAA",
    b"?limit=0",
    b"?limit=100&author=%00",
    b"?hasComments=True",
    b"?%zz",
    b"?a=%ff",
    b"?" + b"&".join(b"p%d" % n for n in range(80)),
    b"?username=" + b"%F0%9F%98%80" * 300,
    b"?who=%E2%80%AE&before=1&type=x",
    b"?sample=1000000000000000000",
    b"?events=-1&position=7",
]


def _request(chance: random.Random, posts: list[bytes]) -> bytes:
    method = chance.choice(METHODS) if chance.random() < 0.1 else chance.choice(METHODS[:4])
    some_post = chance.choice(posts)
    path = chance.choice(
        [
            POSTS,
            POSTS + b"/" + some_post,
            POSTS + b"/" + some_post + b"/message",
            POSTS + b"/" + some_post + b"/likes",
            POSTS + b"/" + some_post + b"/likes/%2F%25",
            POSTS + b"/" + some_post + b"/comments",
            POSTS + b"/" + some_post + b"/comments/" + some_post,
            POSTS + b"/" + some_post + b"/events",
            POSTS + b"/x",
            b"/posts/" + some_post,
            b"/posts/" + some_post + b"/message",
            b"/",
            b"/log",
            b"/operations",
            b"/operations/audit",
            b"/commands",
            b"/you",
            b"/docs",
            b"/openapi.json",
            b"/problems/nothing",
            b"/metrics",
            b"/health/ready",
            b"/api/v1/read-db",
            b"/api/v1/read-db/rebuilds/sqlite-9",
            b"/..%2f..%2fetc/passwd",
            b"//" + some_post,
            b"/%ff",
            b"*",
            b"/" + b"a" * 9_000,
        ]
    )
    body = chance.choice(BODIES) if method != b"GET" and chance.random() < 0.7 else b""
    head = [(b"Host", b"127.0.0.1"), (b"Content-Type", b"application/json"), (b"Sec-Fetch-Site", b"same-origin")]
    head = [line for line in head if chance.random() < 0.97]
    head += [(chance.choice(NAMES), chance.choice(VALUES)) for _ in range(chance.choice([0, 0, 0, 1, 2]))]
    if body and chance.random() < 0.95:
        head.append((b"Content-Length", b"%d" % (len(body) + chance.choice([0] * 20 + [-1, 3]))))
    lines = [method + b" " + path + chance.choice(QUERIES) + b" " + chance.choice([b"HTTP/1.1"] * 9 + [b"HTTP/1.0"])]
    lines += [name + b": " + value for name, value in head] + [b"Connection: close", b"", b""]
    return b"\r\n".join(lines) + body


def _send(address: tuple[str, int], request: bytes) -> tuple[int, bytes]:
    """The status of the response, 0 for none: the server may close a connection that is not HTTP. A stream is
    closed after its head."""
    answer = b""
    try:
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(request)
            while b"\r\n\r\n" not in answer and (chunk := connection.recv(65_536)):
                answer += chunk
    except (ConnectionError, BrokenPipeError):
        pass
    status = answer.split(b" ", 2)[1:2]
    return (int(status[0]), answer) if status else (0, answer)


def _hammer(folder: Path, requests: int, seed: int) -> Counter[int]:
    """How often each status was returned."""
    with embedded(folder, POSTLOG__HTTP__CLIENT_TIMEOUT_SECONDS="1") as (running, address):
        host, _, port = address.removeprefix("http://").partition(":")
        created = [
            httpx.post(f"{address}/api/v1/posts", json={"author": "a", "message": text}, timeout=20).json()["id"]
            for text in ("Hello", "-" * 2_900)
        ]
        for post_id, text in zip(created, ("Hi", "-+" * 1_450), strict=True):
            edit = {"username": "a", "message": text}
            httpx.put(f"{address}/api/v1/posts/{post_id}/message", json=edit, timeout=20).raise_for_status()
        for _ in ticks(30, "the service is not ready"):
            if httpx.get(f"{address}/health/ready", timeout=20).is_success:
                break
        chance = random.Random(seed)
        asked = [_request(chance, [post_id.encode() for post_id in created]) for _ in range(requests)]
        statuses: Counter[int] = Counter()
        with ThreadPoolExecutor(8) as threads:
            for request, (status, answer) in zip(
                asked, threads.map(lambda each: _send((host, int(port)), each), asked), strict=True
            ):
                statuses[status] += 1
                assert status < 500, f"{request[:300]!r}\n{answer[:2_000]!r}"
        assert httpx.get(f"{address}/health/ready", timeout=20).json()["status"] == "ready"
        metrics = httpx.get(f"{address}/metrics", timeout=20).text
        [stall] = [line for line in metrics.splitlines() if line.startswith("postlog_event_loop_stall_seconds ")]
        print(json.dumps({"statuses": statuses, "stall": stall.split()[1]}))
        assert "Traceback" not in running.printed
    return statuses


def test_no_request_makes_the_service_fail(tmp_path: Path) -> None:
    statuses = _hammer(tmp_path, 600, seed=1)
    assert {200, 400, 404} <= statuses.keys()


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_twenty_thousand_requests(tmp_path: Path) -> None:
    assert sum(_hammer(tmp_path, 20_000, seed=2).values()) == 20_000
