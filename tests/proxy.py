"""A TCP proxy in front of a server on this machine: it cuts connections, delays, holds or loses what they carry, or
refuses them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self, cast

from local.ports import free_port


class Proxy:
    """Listens on `port`, and passes everything to the server on `target`. For one event loop. `delay`, in seconds, is
    added in each direction; it does not reduce the bandwidth."""

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self.target = target
        self.delay = delay
        self.answers_are_lost = False
        self.answers_lost = 0
        self.port = free_port()
        self.ends: set[_End] = set()
        self.is_refusing = False
        self.is_holding = False
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", self.port)
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> int:
        """Ends all connections at once, on both sides; what they carried is lost. Returns how many there were."""
        ends = list(self.ends)
        for end in ends:
            end.abort()
        return sum(isinstance(end, _Client) for end in ends)

    async def hold(self, seconds: float) -> None:
        """For so long nothing passes, and no connection ends: like a network that loses every packet."""
        self.is_holding = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.is_holding = False
            for end in list(self.ends):
                end.release()

    async def refuse(self, seconds: float) -> None:
        """Ends all connections, and new ones at once for so long."""
        self.is_refusing = True
        self.cut()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.is_refusing = False


class _End(asyncio.Protocol):
    """One side of a connection, which passes what it receives to the other side."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None
        self._held: list[bytes] = []
        self._is_at_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.proxy.ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self.proxy.answers_are_lost and not isinstance(self, _Client):
            self.proxy.answers_lost += 1
            self.abort()
            return
        if self.proxy.is_holding or self.other is None or self._held:
            self._held.append(data)
        else:
            self.other.send(data)

    def release(self) -> None:
        """Passes on what was held back."""
        if self.other is None or self.proxy.is_holding:
            return
        for data in self._held:
            self.other.send(data)
        self._held = []
        if self._is_at_end:
            self.other.close()

    def eof_received(self) -> bool:
        self._is_at_end = True
        self.release()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.proxy.ends.discard(self)
        if self.other is not None and not self._held:
            self.other.close()
        elif self.other is not None:
            self._is_at_end = True

    def send(self, data: bytes) -> None:
        self._later(self._write, data)

    def close(self) -> None:
        """After everything is sent."""
        if self.transport is not None:
            self._later(self.transport.close)

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _later(self, do: Callable[..., None], *arguments: bytes) -> None:
        if self.proxy.delay:
            asyncio.get_running_loop().call_later(self.proxy.delay, do, *arguments)
        else:
            do(*arguments)

    def abort(self) -> None:
        self._held = []
        if self.transport is not None:
            self.transport.abort()

    def pause_writing(self) -> None:
        self._let_other("pause_reading")

    def resume_writing(self) -> None:
        self._let_other("resume_reading")

    def _let_other(self, what: str) -> None:
        if self.other is not None and self.other.transport is not None:
            with suppress(RuntimeError):  # it is closing, or has done so already
                getattr(self.other.transport, what)()


class _Client(_End):
    """The client's side; connects to the server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.proxy.is_refusing:
            self.abort()
            return
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        server = _End(self.proxy)
        try:
            await loop.create_connection(lambda: server, "127.0.0.1", self.proxy.target)
        except OSError:
            self.abort()
            return
        if self not in self.proxy.ends:  # the client is gone
            server.abort()
            return
        self.other, server.other = server, self
        self.release()
        server.release()
