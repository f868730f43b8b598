"""Serves an application with granian, in this process and on this loop, until it is told to stop."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar

from application.errors import CannotOpen
from application.ports.system import Metrics
from entrypoints.http.app import IN_FLIGHT
from entrypoints.http.connections import Connections, allow_open_files, places
from entrypoints.serving.request_context import InFlight

BACKLOG = 2_048
"""Connections that may wait to be accepted."""

FINISH_SECONDS = 10.0
"""How long requests under way may take when the service stops; what is decided by then has been answered."""

IDLE_SECONDS = 0.3
"""How long connections may take to end on which nothing is being worked on."""

_NOT_OF_THIS_MACHINE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A name may have addresses of a family that this machine does not use: `localhost` is ::1 too."""

_SECONDS_FOR_AN_ANSWER, _SECONDS_TO_NEXT_TRY = 2.0, 0.02

logger = logging.getLogger(__name__)


async def serve(
    app: Litestar,
    host: str,
    port: int,
    stopping: asyncio.Event,
    on_listening: Callable[[str], None],
    *,
    settings: str = "http",
    metrics: Metrics,
) -> None:
    """Until `stopping` is set; then no new connection is accepted, and requests under way are finished. `on_listening`
    is handed the address (`http://127.0.0.1:8000`) once a request was answered there; port 0 takes a free one.
    `metrics` counts the connections that were closed to make room. Raises `CannotOpen` when
    it can't listen there, with the path below `settings` (`http` or `worker`) that is to blame."""
    listener = _listen(host, port, settings)
    address, place = _address(listener), listener.getsockname()[:2]
    in_flight: InFlight = app.state[IN_FLIGHT]
    limits = in_flight.limits
    most = allow_open_files(limits.max_connections)
    connections = Connections(listener.getsockname()[1], most, in_flight, metrics)
    server = _EmbeddedServer(app, listener, places(most), limits.client_seconds)
    stop: Callable[[], None] = server.stop
    serving = asyncio.create_task(server.serve(), name="granian")
    asked = asyncio.create_task(stopping.wait(), name="stopping")
    answering = asyncio.create_task(_first_answer(*place), name="first answer")
    keeping_room = asyncio.create_task(connections.keep_room(), name="connections")
    try:
        await asyncio.wait((serving, asked, answering), return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
            on_listening(address)
            await asyncio.wait((serving, asked), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
            return
        stop()
        await _finished(serving, in_flight)
    finally:
        stop()  # and no more: granian's task ends with the last connection, and stumbles when it is cancelled before
        for task in (asked, answering, keeping_room):
            task.cancel()
        await asyncio.gather(answering, keeping_room, return_exceptions=True)
        listener.close()  # granian has not taken it where the service was stopped at once


async def _first_answer(host: str, port: int) -> None:
    """Returns when a request was answered. That the socket listens says nothing: the system accepts connections before
    anybody reads from them."""
    while True:
        if await _is_answered(host, port):
            return
        await asyncio.sleep(_SECONDS_TO_NEXT_TRY)


async def _is_answered(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_SECONDS_FOR_AN_ANSWER):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


class _EmbeddedServer(Server):
    """Takes a socket that listens already. granian's own would be opened with SO_REUSEPORT, so that a second service
    on the same port would quietly get half of the connections instead of an error."""

    def __init__(self, app: Litestar, listener: socket.socket, places: int, client_seconds: float) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,  # with HTTP/2 beside it, connections that send nothing would stay for ever
            websockets=False,
            backlog=BACKLOG,
            backpressure=places,
            http1_settings=HTTP1Settings(header_read_timeout=int(client_seconds * 1_000)),
            log_level=LogLevels.error,
            log_dictconfig=_logging(),
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder
        self._shd = holder(self._listener.detach(), False, BACKLOG)


def _logging() -> dict[str, Any]:
    """In place of granian's own set-up, which would write to stdout and take the handlers of others away."""
    return {"incremental": True, "handlers": {}, "formatters": {}, "loggers": {"_granian": {"propagate": True}}}


def _listen(host: str, port: int, settings: str) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _no_address(host, f"{settings}.host", error) from error
    for number, (family, kind, protocol, _, address) in enumerate(found, start=1):
        try:
            return _listener_at(address, socket.socket(family, kind, protocol))
        except OSError as error:
            if error.errno not in _NOT_OF_THIS_MACHINE or number == len(found):
                raise _cannot_listen(host, port, settings, error) from error
    raise AssertionError  # a name has one address at least


def _listener_at(address: Any, listener: socket.socket) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _cannot_listen(host: str, port: int, settings: str, error: OSError) -> CannotOpen:
    path = f"{settings}.port"
    match error.errno:
        case errno.EADDRINUSE:
            return CannotOpen(
                f"port {port} is in use by another program; stop it, or choose another port ({path}).",
                path=path,
            )
        case errno.EACCES:
            return CannotOpen(
                f"port {port} is not free to take for this user; choose one above 1023 ({path}).", path=path
            )
        case _:
            return _no_address(host, f"{settings}.host", error)


def _no_address(host: str, path: str, error: OSError) -> CannotOpen:
    return CannotOpen(f"{path}: {host} is no address of this machine: {error.strerror}.", path=path)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _finished(serving: asyncio.Task[None], in_flight: InFlight) -> None:
    """granian ends when its connections have. Those of callers who sent half a request, or don't read their stream,
    never do: when nothing else is left, they are given up."""
    deadline = asyncio.get_running_loop().time() + FINISH_SECONDS
    working = True
    while working and not serving.done():
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            logger.warning("%d requests were not answered within %g s", in_flight.working, FINISH_SECONDS)
            return
        before = in_flight.working
        await asyncio.wait((serving,), timeout=min(IDLE_SECONDS, left))
        working = before > 0 or in_flight.working > 0
    for task in in_flight.awaiting_client:
        task.cancel()
    if in_flight.awaiting_client:
        await asyncio.wait(in_flight.awaiting_client, timeout=IDLE_SECONDS)
