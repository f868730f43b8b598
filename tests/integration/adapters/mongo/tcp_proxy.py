"""A connection to the server that a test can delay, or on which it can lose replies. Loopback only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class TcpProxy:
    """`delay` is in seconds and added in each direction; it does not reduce the bandwidth."""

    def __init__(self, host: str, port: int, delay: float) -> None:
        self._target = (host, port)
        self.delay = delay
        self.answers_are_lost = False
        self.answers_lost = 0
        self.url = ""
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        connection = asyncio.current_task()
        assert connection is not None
        self._connections[connection] = writer
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            await asyncio.gather(
                self._carry(reader, server_writer, answers=False), self._carry(server_reader, writer, answers=True)
            )
        except OSError:
            writer.close()
        finally:
            del self._connections[connection]

    async def close(self) -> None:
        for writer in self._connections.values():
            writer.close()
        await asyncio.gather(*self._connections)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await source.read(1 << 20):
                if answers and self.answers_are_lost:
                    self.answers_lost += 1
                    break
                loop.call_later(self.delay, _write, target, data)
        loop.call_later(self.delay, target.close)


def _write(target: asyncio.StreamWriter, data: bytes) -> None:
    if not target.is_closing():
        target.write(data)


@asynccontextmanager
async def proxy(address: str, delay: float = 0.0) -> AsyncIterator[TcpProxy]:
    """To `host:port`; with its `url` the driver uses only this connection."""
    host, _, port = address.rpartition(":")
    way = TcpProxy(host, int(port), delay)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    way.url = f"mongodb://127.0.0.1:{server.sockets[0].getsockname()[1]}/?directConnection=true"
    try:
        yield way
    finally:
        server.close()
        await way.close()
