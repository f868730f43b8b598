"""What clients may use of a real server: connections, time, streams. Whatever they do, it serves the next one."""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import httpx
import pytest

from application.query_side.history import HistoryPage, ListEvents
from entrypoints.http.connections import allow_open_files
from entrypoints.http.events import LogChangeNotifier
from entrypoints.http.services import HttpServices
from entrypoints.serving.request_context import ServingLimits
from unit.entrypoints.http.fakes import POST, Scripted, past_event, services
from unit.entrypoints.http.test_server import one_post, served, until

STREAM = f"GET /api/v1/posts/{POST}/events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n".encode()
SENT = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHo",
    "half a body": b"POST /api/v1/posts HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    "half a body for nobody": b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    "a request, and no other": b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
}


def with_limits(**limits: float) -> HttpServices:
    scripted = Scripted(HistoryPage(events=[past_event()], next_after=None))
    return services(
        commands=scripted.commands(),
        queries=scripted.queries(),
        serving=ServingLimits(**limits),  # type: ignore[arg-type]
    )


@contextmanager
def connections(address: str, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Opened concurrently, by a client that then does nothing."""
    host, port = address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        opened: list[socket.socket] = []
        for _ in range(count):
            opened.append(stack.enter_context(socket.create_connection((host, int(port)), timeout=10)))
            opened[-1].sendall(sent)
        yield opened


def is_closed(connection: socket.socket) -> bool:
    """By its other end, whatever was sent before."""
    connection.settimeout(0)
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


async def answers_within(address: str, seconds: float, path: str = "/health/live") -> None:
    async with httpx.AsyncClient(base_url=address, timeout=seconds) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
async def test_an_idle_client_is_disconnected_when_its_time_is_up(sent: bytes) -> None:
    async with served(with_limits(client_seconds=0.4)) as (address, _):
        with connections(address, 3, sent) as opened:
            await until(lambda: all(is_closed(each) for each in opened), 10)


async def test_a_body_that_does_not_arrive_in_time_is_answered_with_408() -> None:
    async with served(with_limits(client_seconds=0.4)) as (address, _):
        with connections(address, 1, SENT["half a body"]) as opened:
            answer = await asyncio.to_thread(opened[0].recv, 65_536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"type":"/problems/body-too-slow"' in answer


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
async def test_surplus_connections_do_not_keep_new_ones_out(sent: bytes) -> None:
    async with served(with_limits(max_connections=20, client_seconds=60)) as (address, _):
        with connections(address, 100, sent):
            await answers_within(address, 5)
            await answers_within(address, 5, "/metrics")


async def test_a_busy_connection_is_never_closed_to_make_room() -> None:
    go_on = asyncio.Event()

    async def slowly() -> HistoryPage:
        await go_on.wait()
        return HistoryPage(events=[past_event()], next_after=None)

    scripted = Scripted(lambda _: slowly())
    given = services(queries=scripted.queries(), serving=ServingLimits(max_connections=10, client_seconds=60))
    async with served(given) as (address, _), httpx.AsyncClient(base_url=address, timeout=20) as client:
        asked = [asyncio.create_task(client.get(f"/api/v1/posts/{POST}/events")) for _ in range(5)]
        await until(lambda: len(scripted.handed) == 5)
        with connections(address, 18, b"") as opened:
            await until(lambda: sum(is_closed(each) for each in opened) >= 13, 10)
            go_on.set()
            assert [(await each).status_code for each in asked] == [200] * 5


async def test_no_more_streams_are_opened_than_the_limit_says() -> None:
    headers = {"Accept": "text/event-stream"}
    path = f"/api/v1/posts/{POST}/events"
    async with served(with_limits(max_streams=2)) as (address, _), httpx.AsyncClient(base_url=address) as client:
        with connections(address, 2, STREAM) as opened:
            for each in opened:
                assert await asyncio.to_thread(each.recv, 12) == b"HTTP/1.1 200"
            refused = await client.get(path, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/too-many-streams")
            assert int(refused.headers["retry-after"]) > 0
            assert (await client.get(path)).status_code == 200
        async with asyncio.timeout(10):
            while True:
                async with client.stream("GET", path, headers=headers) as stream:
                    if stream.status_code == 200:
                        break


async def test_a_stream_whose_client_reads_nothing_is_closed() -> None:
    large = past_event(actor="x" * 100_000)
    scripted = Scripted(HistoryPage(events=[large] * 100, next_after=1))
    given = services(queries=scripted.queries(), serving=ServingLimits(client_seconds=0.4))
    async with served(given) as (address, _):
        with connections(address, 1, STREAM) as opened:
            await until(lambda: bool(scripted.handed))
            await until(_unmoved(lambda: len(scripted.handed)), 10)
            await until(lambda: is_closed(opened[0]), 10)


def _unmoved(count: Callable[[], int]) -> Callable[[], bool]:
    """True when it has not changed for longer than a client may take to read."""
    seen, since = -1, 0.0

    def unmoved() -> bool:
        nonlocal seen, since
        if count() != seen:
            seen, since = count(), time.monotonic()
        return time.monotonic() - since > 0.8

    return unmoved


@asynccontextmanager
async def followers(changes: LogChangeNotifier, count: int) -> AsyncIterator[list[int]]:
    """So many streams of one post, each reading when it is woken; returns what they received."""
    woken: list[int] = []

    async def follow() -> None:
        with changes.follow(POST) as changed:
            while True:
                await changed.wait()
                changed.clear()
                page = await changes.events(ListEvents(post_id=POST, limit=500, after=0))
                woken.append(len(page.events))

    tasks = [asyncio.create_task(follow()) for _ in range(count)]
    try:
        yield woken
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_poll_serves_all_streams_of_a_post() -> None:
    scripted = Scripted(HistoryPage(events=[past_event()], next_after=None))
    stopping = asyncio.Event()
    changes = LogChangeNotifier(scripted.queries(), stopping, 0.01)
    async with followers(changes, 300) as woken:
        await until(lambda: len(woken) >= 3_000)
        stopping.set()
    assert len(scripted.handed) < 3_000 / 100


@contextmanager
def soft_limit(files: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_process_raises_its_own_limit_of_open_files() -> None:
    with soft_limit(1_024):
        assert allow_open_files(4_000) == 4_000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 6_048


@pytest.mark.long
@pytest.mark.parametrize("sent", [*SENT.values(), STREAM], ids=[*SENT, "a stream"])
async def test_2100_idle_connections_keep_no_client_out_at_the_defaults(sent: bytes) -> None:
    allow_open_files(8_000)  # the clients are in this process, too
    given = with_limits() if sent == STREAM else one_post()
    async with served(given) as (address, _):
        with connections(address, 2_100, sent):
            for _ in range(10):
                await answers_within(address, 2)
                await answers_within(address, 2, "/metrics")


async def test_a_query_of_the_past_is_cancelled_when_its_client_disconnects() -> None:
    ended = asyncio.Event()

    async def without_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    scripted = Scripted(lambda _: without_end())
    asked = f"GET /api/v1/posts/{POST}?version=3 HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    async with served(services(queries=scripted.queries())) as (address, stop):
        with connections(address, 1, asked):
            await until(lambda: bool(scripted.handed))
            assert not ended.is_set()
        async with asyncio.timeout(5):
            await ended.wait()
        await answers_within(address, 5)
        assert await stop() < 1
