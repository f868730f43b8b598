"""Keeps room for new connections, whatever the clients of the open ones do.

An idle connection (no request, half a request, a response that is not read) costs its client nothing, and the service a
slot. granian closes those that send nothing for a while, and accepts no more than it has slots for. While more than
`http.max_connections` are open, idle ones are closed here, so that there is always a slot for the next: a health check,
a command. granian does not limit the time of a TLS handshake, so those that take too long are closed here, too.
"""

import asyncio
import logging
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from application.ports.system import Metrics
from entrypoints.serving.request_context import InFlight, Peer

_EXTRA_SLOTS = 2_048
"""Beyond `max_connections`: for new connections while surplus ones are being closed."""

_OTHER_FILES = 256
"""Of this process: databases, their connections, the bus."""

_CHECK_SECONDS = 0.25
_OPEN_FILES = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"  # noqa: PTH112

logger = logging.getLogger(__name__)


def allow_open_files(wanted: int) -> int:
    """Raise this process's limit of open files as far as the system allows. Returns how many connections there may
    be, at most `wanted`."""
    needed = wanted + _EXTRA_SLOTS + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard) and soft < needed:
        soft = min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = max(1, (soft - _OTHER_FILES) // 2)
    logger.warning(
        "this process may open %d files, which is enough for %d connections; "
        "raise the limit (ulimit -n), or lower http.max_connections",
        soft,
        allowed,
    )
    return min(wanted, allowed)


def slots(connections: int) -> int:
    """How many connections may be open at the same time, surplus ones included."""
    return connections + min(_EXTRA_SLOTS, connections)


class Connections:
    """The connections that were accepted at one port. With `handshake_seconds`, those that have not sent a request
    after that time are closed; `in_flight` must then record who has."""

    def __init__(
        self, port: int, most: int, in_flight: InFlight, metrics: Metrics, handshake_seconds: float | None = None
    ) -> None:
        self._port = port
        self._most = most
        self._in_flight = in_flight
        self._metrics = metrics
        self._idle: set[Peer] = set()
        self._handshake_seconds = handshake_seconds
        self._silent_since: dict[Peer, float] = {}
        self._checked_at = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            await asyncio.to_thread(self.close_surplus)
            if self._handshake_seconds is not None:
                await asyncio.to_thread(self._close_silent, self._handshake_seconds)

    def close_surplus(self) -> None:
        """Close the connections in `to_close`, and surplus ones that were idle at the check before, too."""
        to_close = self._in_flight.to_close.copy()
        if len(os.listdir(_OPEN_FILES)) <= self._most and not to_close:  # noqa: PTH208 (of numbers)
            self._idle.clear()
            return
        open_now = dict(self._open())
        for peer in to_close & open_now.keys():
            self._close(peer, open_now[peer])
        self._in_flight.to_close -= to_close
        surplus = len(open_now) - self._most
        idle = [peer for peer in open_now if peer not in self._in_flight.peers]
        closing = [peer for peer in idle if peer in self._idle][: max(0, surplus)]
        self._idle = set(idle)
        for peer in closing:
            self._close(peer, open_now[peer])
        if closing:
            self._metrics.count("http_connections_closed", len(closing))
            logger.warning(
                "%d connections are open, %d more than http.max_connections; closed %d idle ones",
                len(open_now),
                surplus,
                len(closing),
            )

    def _close_silent(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._checked_at < seconds / 8:
            return
        self._checked_at = now
        open_now = dict(self._open())
        self._in_flight.served.intersection_update(open_now)
        silent = open_now.keys() - self._in_flight.served - self._in_flight.peers
        self._silent_since = {peer: self._silent_since.get(peer, now) for peer in silent}
        for peer, since in self._silent_since.items():
            if now - since >= seconds:
                self._close(peer, open_now[peer])

    def _open(self) -> Iterator[tuple[Peer, int]]:
        for name in os.listdir(_OPEN_FILES):  # noqa: PTH208
            with _socket_of(int(name)) as found:
                if found is not None and (peer := self._peer_of(found)):
                    yield peer, int(name)

    def _peer_of(self, found: socket.socket) -> Peer | None:
        try:
            if found.getsockname()[1] != self._port:
                return None
            host, port = found.getpeername()[:2]
        except (OSError, IndexError):
            return None  # not a network connection, or one that has ended
        return host, str(port)

    def _close(self, peer: Peer, number: int) -> None:
        """The number may belong to another file by now, so it is checked again. The server closes a connection that was
        shut down here."""
        with _socket_of(number) as found:
            if found is not None and self._peer_of(found) == peer and peer not in self._in_flight.peers:
                with suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)


@contextmanager
def _socket_of(number: int) -> Iterator[socket.socket | None]:
    """The open file of that number, if it is a socket; duplicated, so that closing it here closes no other."""
    try:
        own = os.dup(number)
    except OSError:  # closed by now
        yield None
        return
    try:
        found = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        yield None
        return
    with found:
        yield found
