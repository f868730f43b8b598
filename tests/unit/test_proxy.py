"""The proxy passes everything, until it cuts, delays, holds, loses or refuses."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from proxy import Proxy

LARGE = b"0123456789" * 300_000


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that sends back what it receives."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    await asyncio.sleep(0.05)  # for the ends of connections


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Proxy], Awaitable[Streams]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    opened: list[Streams] = []

    async def connected(proxy: Proxy) -> Streams:
        opened.append(await asyncio.open_connection("127.0.0.1", proxy.port))
        return opened[-1]

    yield connected
    for _, writer in opened:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def answer(streams: Streams, data: bytes) -> bytes:
    streams[1].write(data)
    async with asyncio.timeout(20):
        return await streams[0].readexactly(len(data))


async def is_ended(streams: Streams) -> bool:
    try:
        async with asyncio.timeout(5):
            return await streams[0].read(1) == b""
    except ConnectionError:
        return True


async def test_it_passes_everything_in_both_directions(proxy: Proxy, connect: Connect):
    first, second = await connect(proxy), await connect(proxy)
    assert await answer(first, LARGE) == LARGE
    assert await answer(second, b"hello") == b"hello"
    first[1].close()
    assert await answer(second, b"again") == b"again"


async def test_a_cut_ends_the_connections_and_accepts_new_ones(proxy: Proxy, connect: Connect):
    first = await connect(proxy)
    assert await answer(first, b"hello") == b"hello"
    assert proxy.cut() == 1
    assert await is_ended(first)
    assert await answer(await connect(proxy), b"hello") == b"hello"


async def test_what_is_held_arrives_later_in_order_and_nothing_is_lost(proxy: Proxy, connect: Connect):
    first = await connect(proxy)
    assert await answer(first, b"hello") == b"hello"
    holding = asyncio.create_task(proxy.hold(0.3))
    await asyncio.sleep(0)
    first[1].write(b"one ")
    late = await connect(proxy)
    late[1].write(b"late")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(first[0].read(1), 0.1)
    first[1].write(b"two")
    await holding
    assert await asyncio.wait_for(first[0].readexactly(7), 5) == b"one two"
    assert await asyncio.wait_for(late[0].readexactly(4), 5) == b"late"


async def test_a_delay_is_added_in_each_direction(proxy: Proxy, connect: Connect):
    first = await connect(proxy)
    proxy.delay, began = 0.2, time.monotonic()
    assert await answer(first, LARGE) == LARGE
    assert time.monotonic() - began >= 0.4


async def test_a_lost_answer_ends_the_connection(proxy: Proxy, connect: Connect):
    first = await connect(proxy)
    proxy.answers_are_lost = True
    first[1].write(b"hello")
    assert await is_ended(first)
    assert proxy.answers_lost == 1
    proxy.answers_are_lost = False
    assert await answer(await connect(proxy), b"hello") == b"hello"


async def test_while_it_refuses_connections_end_at_once(proxy: Proxy, connect: Connect):
    first = await connect(proxy)
    assert await answer(first, b"hello") == b"hello"
    refusing = asyncio.create_task(proxy.refuse(0.2))
    assert await is_ended(first)
    assert await is_ended(await connect(proxy))
    await refusing
    assert await answer(await connect(proxy), b"hello") == b"hello"


async def test_a_client_of_a_server_that_is_down_is_disconnected(connect: Connect):
    proxy = await Proxy(1).start()
    assert await is_ended(await connect(proxy))
    assert proxy.ends == set()
    await proxy.stop()
