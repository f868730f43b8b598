"""A real server: granian on this event loop, sockets on loopback."""

import asyncio
import inspect
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from granian.server.common import AbstractServer
from granian.server.embed import Server

from application.errors import CannotOpen
from application.query_side.history import HistoryPage
from domain.limits import Limits
from entrypoints.http.app import create_app
from entrypoints.http.problems import Pages
from entrypoints.http.server import IDLE_SECONDS, TlsFiles, _EmbeddedServer, serve
from entrypoints.http.services import HttpServices
from unit.entrypoints.http.fakes import POST, FakeMetrics, PostService, Scripted, done, past_event, services

SECOND = 1.0


@asynccontextmanager
async def served(
    services: HttpServices, pages: Pages | None = None, tls: TlsFiles | None = None
) -> AsyncIterator[tuple[str, Callable[[], Awaitable[float]]]]:
    """The address, and a function that stops the service and returns how long that took."""
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            create_app(services, pages),
            "127.0.0.1",
            0,
            services.stopping,
            listening.set_result,
            metrics=services.metrics,
            tls=tls,
        )
    )

    async def stop() -> float:
        began = time.monotonic()
        services.stopping.set()
        await asyncio.wait_for(serving, 15)
        return time.monotonic() - began

    try:
        yield await asyncio.wait_for(listening, 5), stop
    finally:
        await stop()


def one_post() -> HttpServices:
    service = PostService(Limits())
    return services(commands=service.commands(), queries=service.queries())


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)


def still(count: Callable[[], int]) -> Callable[[], bool]:
    """True when the count has not changed for a tenth of a second, ten times the pause of the stream."""
    seen, since = -1, 0.0

    def unmoved() -> bool:
        nonlocal seen, since
        if count() != seen:
            seen, since = count(), time.monotonic()
        return time.monotonic() - since > 0.1

    return unmoved


async def test_a_command_and_a_query_go_through_a_real_server() -> None:
    async with served(one_post()) as (address, _), httpx.AsyncClient(base_url=address) as client:
        created = await client.post("/api/v1/posts", json={"author": "ann", "message": "Hello"})
        read = await client.get(created.headers["location"])
    assert (created.status_code, read.status_code, read.json()["message"]) == (201, 200, "Hello")


def test_granian_listens_on_the_socket_that_it_is_handed() -> None:
    changed = (
        "This granian opens its socket in another way than `_EmbeddedServer` in entrypoints/http/server.py believes: "
        "it would listen on 127.0.0.1:8000 whatever the settings say. Mend that class, or keep the granian before."
    )
    assert "_init_shared_socket" in vars(AbstractServer), changed
    assert "self._init_shared_socket()" in inspect.getsource(inspect.getmodule(Server.serve)), changed
    assert "self._shd" in inspect.getsource(Server._spawn_worker), changed
    with socket.create_server(("127.0.0.1", 0)) as listener:
        handed = listener.fileno()
        server = _EmbeddedServer(create_app(one_post()), listener, 100, 30)
        server._init_shared_socket()
    assert server._shd.get_fd() == handed, changed


@pytest.mark.parametrize("size", [2_000_000, 10_000_000])
async def test_a_client_that_sends_the_whole_of_a_too_large_body_gets_the_response(size: int) -> None:
    def send_all_then_read(address: str) -> bytes:
        host, port = address.removeprefix("http://").split(":")
        head = "POST /api/v1/posts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + b" " * size)
            answer = b""
            while chunk := connection.recv(65_536):  # until the service closes it
                answer += chunk
        return answer

    async with served(one_post()) as (address, _):
        answer = await asyncio.to_thread(send_all_then_read, address)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert b'"code":"body-too-large"' in answer


async def test_names_with_slashes_and_percent_signs_are_decoded() -> None:
    scripted = Scripted(done())
    async with served(services(commands=scripted.commands())) as (address, _), httpx.AsyncClient() as client:
        answer = await client.delete(f"{address}/api/v1/posts/{POST}/likes/a%2Fb%20%25%F0%9F%98%80")
    assert (answer.status_code, scripted.last.username) == (200, "a/b %😀")


async def test_it_stops_at_once_though_a_connection_is_kept_alive() -> None:
    async with served(one_post()) as (address, stop), httpx.AsyncClient(base_url=address) as client:
        await client.get("/health/live")
        assert await stop() < SECOND


async def test_it_stops_at_once_though_an_event_stream_is_open() -> None:
    pages = [HistoryPage(events=[past_event()], next_after=None), HistoryPage(events=[], next_after=None)]
    scripted = Scripted(lambda query: pages[min(query.after, 1)])
    async with (
        served(services(queries=scripted.queries(), poll_seconds=30)) as (address, stop),
        httpx.AsyncClient(base_url=address) as client,
        client.stream(
            "GET", f"/api/v1/posts/{POST}/events", headers={"Accept": "text/event-stream"}, timeout=20
        ) as stream,
    ):
        lines = stream.aiter_lines()
        while await anext(lines) != "id: 1":
            pass
        assert await stop() < SECOND
        assert (await anext(lines)).startswith('data: {"type":"PostLiked"')
        assert [line async for line in lines] == [""]


async def test_a_stream_opens_at_once_though_there_is_no_event_yet() -> None:
    scripted = Scripted(HistoryPage(events=[], next_after=None))
    async with (
        served(services(queries=scripted.queries(), poll_seconds=30)) as (address, _),
        httpx.AsyncClient(base_url=address) as client,
        asyncio.timeout(5),
        client.stream("GET", f"/api/v1/posts/{POST}/events?after=9", headers={"Accept": "text/event-stream"}) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert await anext(stream.aiter_lines()) == ": events of a post"


async def test_a_stream_that_is_reading_from_the_store_ends_properly() -> None:
    asking, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> HistoryPage:
        asking.set()
        await go_on.wait()
        return HistoryPage(events=[], next_after=None)

    first = HistoryPage(events=[past_event()], next_after=None)
    scripted = Scripted(lambda query: slowly() if query.after else first)
    async with (
        served(services(queries=scripted.queries())) as (address, stop),
        httpx.AsyncClient(base_url=address) as client,
        client.stream("GET", f"/api/v1/posts/{POST}/events", headers={"Accept": "text/event-stream"}) as stream,
    ):
        await asking.wait()
        stopping = asyncio.create_task(stop())
        await asyncio.wait([stopping], timeout=IDLE_SECONDS / 3)
        go_on.set()
        assert [line async for line in stream.aiter_lines()][-1] == ""
        assert await stopping < SECOND


async def test_a_stream_ends_when_its_client_disconnects() -> None:
    scripted = Scripted(HistoryPage(events=[past_event()], next_after=None))
    async with served(services(queries=scripted.queries())) as (address, _), httpx.AsyncClient() as client:
        path = f"{address}/api/v1/posts/{POST}/events"
        async with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as stream:
            await anext(stream.aiter_lines())
        await until(still(lambda: len(scripted.handed)))


async def test_a_command_in_flight_is_finished_when_the_service_stops() -> None:
    go_on = asyncio.Event()

    async def slowly() -> object:
        await go_on.wait()
        return done(version=3, position=9)

    scripted = Scripted(lambda _: slowly())
    async with served(services(commands=scripted.commands())) as (address, stop), httpx.AsyncClient() as client:
        liking = asyncio.create_task(client.post(f"{address}/api/v1/posts/{POST}/likes"))
        await until(lambda: bool(scripted.handed))
        stopped = asyncio.create_task(stop())
        finished, _ = await asyncio.wait([stopped], timeout=2 * IDLE_SECONDS)
        assert not finished
        go_on.set()
        answer = await liking
        assert (answer.status_code, answer.json()["position"]) == (200, 9)
        await stopped


@pytest.mark.parametrize(
    "sent",
    [b"POST /api/v1/posts HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{", b"GET / HTTP/1.1\r\nHo"],
    ids=["half a body", "half a head"],
)
async def test_clients_that_never_finish_their_request_do_not_delay_the_shutdown(sent: bytes) -> None:
    async with served(one_post()) as (address, stop):
        host, port = address.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0.1)
        assert await stop() < SECOND
        writer.close()


async def test_a_cancelled_request_ends_before_the_event_loop_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At the end of the loop its cancellation would be logged as an error of the server."""
    caplog.set_level("INFO")
    async with served(one_post()) as (address, stop):
        host, port = address.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /api/v1/posts HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        assert (await asyncio.to_thread(httpx.get, f"{address}/nowhere")).status_code == 404
        await stop()
        writer.close()
    lines = [vars(record) for record in caplog.records if record.getMessage() == "request"]
    assert [(line["route"], line["status"]) for line in lines] == [("unknown", 404), ("/api/v1/posts", 0)]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_port_in_use_is_named_with_its_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotOpen, match=f"^port {port} is in use by another program; stop it") as refused:
            await serve(create_app(one_post()), "127.0.0.1", port, asyncio.Event(), print, metrics=FakeMetrics())
    assert refused.value.path == "http.port"


async def test_a_worker_names_its_own_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotOpen) as refused:
            await serve(
                create_app(services()),
                "127.0.0.1",
                port,
                asyncio.Event(),
                print,
                settings="worker",
                metrics=FakeMetrics(),
            )
    assert refused.value.path == "worker.port"


async def test_a_second_service_on_the_port_of_the_first_is_refused() -> None:
    async with served(one_post()) as (address, _):
        port = int(address.rpartition(":")[2])
        with pytest.raises(CannotOpen, match=r"http\.port"):
            await serve(create_app(one_post()), "127.0.0.1", port, asyncio.Event(), print, metrics=FakeMetrics())


async def test_the_first_address_of_a_name_that_this_machine_has_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `localhost` where there is no IPv6."""
    elsewhere, here = [socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0] for host in ("203.0.113.1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere, here])
    stopping, addresses = asyncio.Event(), list[str]()

    def listens(address: str) -> None:
        addresses.append(address)
        stopping.set()

    await serve(create_app(services()), "localhost", 0, stopping, listens, metrics=FakeMetrics())
    assert addresses[0].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_of_this_machine_is_named_with_its_setting(host: str) -> None:
    with pytest.raises(CannotOpen, match=f"http.host: {host} is not an address of this machine"):
        await serve(create_app(one_post()), host, 0, asyncio.Event(), print, metrics=FakeMetrics())


async def test_the_address_is_announced_once_a_request_was_served_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listening socket accepts connections before the server reads from them."""
    begin = asyncio.Event()
    serve_at_once = _EmbeddedServer.serve

    async def serve_later(self: _EmbeddedServer) -> None:
        await begin.wait()
        await serve_at_once(self)

    monkeypatch.setattr(_EmbeddedServer, "serve", serve_later)
    service = one_post()
    told: list[str] = []
    serving = asyncio.create_task(
        serve(create_app(service), "127.0.0.1", 0, service.stopping, told.append, metrics=service.metrics)
    )
    await asyncio.sleep(0.2)  # in which the address used to be announced
    assert told == []
    begin.set()
    await until(lambda: bool(told), seconds=20)
    found = await asyncio.to_thread(httpx.get, f"{told[0]}/health/live", timeout=20)
    assert found.status_code == httpx.codes.OK
    service.stopping.set()
    await asyncio.wait_for(serving, 15)


async def test_a_server_that_ends_before_it_responds_announces_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: _EmbeddedServer) -> None:
        raise RuntimeError("it could not start")

    monkeypatch.setattr(_EmbeddedServer, "serve", fail)
    service = one_post()
    told: list[str] = []
    with pytest.raises(RuntimeError, match="it could not start"):
        await serve(create_app(service), "127.0.0.1", 0, service.stopping, told.append, metrics=service.metrics)
    assert told == []
