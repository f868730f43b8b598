"""Clients that hold what they can: whatever they do together, health answers within a second throughout."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from entrypoints.http.connections import allow_open_files
from running import embedded

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

IDLE, STREAMS, SLOW = 2_100, 300, 60
SECONDS = 30.0
HEAD = b"POST /api/v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Crowd:
    """Connections to one service, each held by a task."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._place = (parts.hostname, parts.port)
        self._tasks: list[asyncio.Task[None]] = []
        self.begun = 0
        self.streaming = 0

    def add(self, sent: bytes, then: bytes = b"", *, reads: bool = False) -> None:
        """Sends `sent`, then one byte of `then` every half second. With `reads`, reads whatever comes."""
        self._tasks.append(asyncio.create_task(self._hold(sent, then, reads=reads)))

    async def _hold(self, sent: bytes, then: bytes, *, reads: bool) -> None:
        while True:  # a client that was disconnected comes back
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._place)
                self.begun += 1
                try:
                    writer.write(sent)
                    await self._follow(reader) if reads else await self._trickle(reader, writer, then)
                finally:
                    writer.close()
            await asyncio.sleep(0.5)

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        begun = await reader.readuntil(b"\r\n\r\n")
        assert begun.startswith(b"HTTP/1.1 200 "), begun
        self.streaming += 1
        try:
            while await reader.read(65_536):
                pass
        finally:
            self.streaming -= 1

    async def _trickle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, then: bytes) -> None:
        ended = asyncio.ensure_future(reader.read())
        try:
            for number in range(len(then)):
                writer.write(then[number : number + 1])
                await asyncio.wait([ended], timeout=0.5)
                if ended.done():
                    return
            await asyncio.shield(ended)
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)


async def hold_all(address: str, post: str, counts: Connection) -> None:
    """Until the process is killed. Sends how many connections and streams there are, again and again."""
    allow_open_files(8_000)
    found = Crowd(address)
    stream = f"GET /api/v1/posts/{post}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    for number in range(IDLE):
        found.add(b"" if number % 2 else b"GET / HTTP/1.1\r\nHo")
    for _ in range(SLOW):
        found.add(b"GET /health/live HTTP/1.1\r\n", b"X-Slow: " + b"x" * 10_000)
        found.add(HEAD + b"Content-Length: 10000\r\n\r\n", b"{" + b" " * 9_999)
    for _ in range(STREAMS):
        found.add(stream.encode(), reads=True)
    while True:
        await asyncio.sleep(0.2)
        counts.send((found.begun, found.streaming))


def run_crowd(address: str, post: str, counts: Connection) -> None:
    asyncio.run(hold_all(address, post, counts))


@contextmanager
def crowd(address: str, post: str) -> Iterator[Callable[[], tuple[int, int]]]:
    """In a process of its own, so that what is measured here is the service. Returns its latest counts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_crowd, args=(address, post, theirs), daemon=True)
    process.start()
    latest = (0, 0)

    def counts() -> tuple[int, int]:
        nonlocal latest
        while ours.poll():
            latest = ours.recv()
        assert process.is_alive()
        return latest

    try:
        yield counts
    finally:
        process.kill()
        process.join()


async def seconds_of(address: str, path: str) -> float:
    """On a new connection, as a probe does."""
    parts = urlsplit(address)
    begin = time.monotonic()
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return time.monotonic() - begin


async def test_health_answers_within_a_second_while_clients_hold_all_they_can(tmp_path: Path) -> None:
    with embedded(tmp_path, POSTLOG__HTTP__CLIENT_TIMEOUT_SECONDS="10") as (_, address):
        async with httpx.AsyncClient(base_url=address, timeout=20) as client:
            post = (await client.post("/api/v1/posts", json={"author": "Ann", "message": "Hello"})).json()["id"]
            while (await client.get("/health/ready")).status_code != httpx.codes.OK:
                await asyncio.sleep(0.1)
            with crowd(address, post) as counts:
                worst: dict[str, float] = {}
                until = time.monotonic() + SECONDS
                while time.monotonic() < until or counts()[1] < STREAMS:
                    for path in ("/health/live", "/health/ready", "/metrics"):
                        worst[path] = max(worst.get(path, 0.0), await seconds_of(address, path))
                    await asyncio.sleep(0.1)
                begun, streaming = counts()
                print(f"worst seconds: {worst}, connections begun: {begun}, streams: {streaming}")
                assert begun >= IDLE + 2 * SLOW + STREAMS
                assert max(worst.values()) < 1, worst
                liked = await client.post(f"/api/v1/posts/{post}/likes", json={"username": "Ben"})
                assert liked.status_code == httpx.codes.OK
