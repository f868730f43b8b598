"""Keeps room for new connections, whatever the callers of the present ones do.

A connection on which nothing is being worked on (nothing was asked, half a request was sent, an answer is not read)
costs its caller nothing and the service a place. granian closes those that send nothing for a while, and accepts no
more than it has places for. While more are open than `http.max_connections`, this closes those on which nothing is
worked on, so that there is always a place for the next: a health check, a command.
"""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from application.ports.system import Metrics
from entrypoints.serving.request_context import InFlight, Peer

_PLACES = 2_048
"""Beyond `max_connections`: for those that come while superfluous ones are being closed."""

_OTHER_FILES = 256
"""Of this process: databases, their connections, the bus."""

_LOOK_SECONDS = 0.25
_OPEN_FILES = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"  # noqa: PTH112

logger = logging.getLogger(__name__)


def allow_open_files(wanted: int) -> int:
    """Raise this process's own limit of open files as far as the system lets it. Returns how many connections there may
    be, at most `wanted`."""
    needed = wanted + _PLACES + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard) and soft < needed:
        soft = min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = max(1, (soft - _OTHER_FILES) // 2)
    logger.warning(
        "this process may have %d files open, which is enough for %d connections; "
        "raise the limit (ulimit -n), or lower http.max_connections",
        soft,
        allowed,
    )
    return min(wanted, allowed)


def places(connections: int) -> int:
    """How many connections are accepted at the same time."""
    return connections + min(_PLACES, connections)


class Connections:
    """Those that were accepted at one port."""

    def __init__(self, port: int, most: int, in_flight: InFlight, metrics: Metrics) -> None:
        self._port = port
        self._most = most
        self._activity = in_flight
        self._metrics = metrics
        self._idle: set[Peer] = set()

    async def keep_room(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Close those that were given up, and what is too much, of that on which nothing was worked on at the look
        before either."""
        to_close = self._activity.to_close.copy()
        if len(os.listdir(_OPEN_FILES)) <= self._most and not to_close:  # noqa: PTH208 (of numbers)
            self._idle.clear()
            return
        open_now = dict(self._open())
        for peer in to_close & open_now.keys():
            self._close(peer, open_now[peer])
        self._activity.to_close -= to_close
        superfluous = len(open_now) - self._most
        idle = [peer for peer in open_now if peer not in self._activity.peers]
        closing = [peer for peer in idle if peer in self._idle][: max(0, superfluous)]
        self._idle = set(idle)
        for peer in closing:
            self._close(peer, open_now[peer])
        if closing:
            self._metrics.count("http_connections_closed", len(closing))
            logger.warning(
                "%d connections are open, %d more than http.max_connections; closed %d on which nothing was worked on",
                len(open_now),
                superfluous,
                len(closing),
            )

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
            return None  # no connection of the network, or one that has ended
        return host, str(port)

    def _close(self, peer: Peer, number: int) -> None:
        """The number may be another file's by now, so it is looked at again. Its owner closes what was shut down."""
        with _socket_of(number) as found:
            if found is not None and self._peer_of(found) == peer and peer not in self._activity.peers:
                with suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)


@contextmanager
def _socket_of(number: int) -> Iterator[socket.socket | None]:
    """The open file of that number, if it is a socket; a number of its own for it, so nobody else's is closed."""
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
