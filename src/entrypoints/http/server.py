"""Serves an application with granian, in this process and on this event loop, until it is stopped."""

import asyncio
import errno
import logging
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar

from application.errors import CannotOpen
from application.ports.system import Metrics
from entrypoints.http.app import IN_FLIGHT
from entrypoints.http.connections import Connections, allow_open_files, slots
from entrypoints.serving.request_context import InFlight

BACKLOG = 2_048
"""Connections that may wait to be accepted."""

FINISH_SECONDS = 10.0
"""How long requests in flight may take when the service stops."""

IDLE_SECONDS = 0.3
"""How long idle connections may take to end."""

_NOT_OF_THIS_MACHINE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A name may have addresses of a family that this machine does not use: `localhost` is also ::1."""

_SECONDS_FOR_A_RESPONSE, _SECONDS_TO_NEXT_TRY = 2.0, 0.02

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM. `certificate` has the server's, and those between it and the authority; `key` has no password."""

    certificate: Path
    key: Path


async def serve(
    app: Litestar,
    host: str,
    port: int,
    stopping: asyncio.Event,
    on_listening: Callable[[str], None],
    *,
    settings: str = "http",
    metrics: Metrics,
    tls: TlsFiles | None = None,
) -> None:
    """Until `stopping` is set; then no new connection is accepted, and requests in flight are finished. `on_listening`
    is called with the address (`http://127.0.0.1:8000`) once a request was served there; port 0 takes a free one.
    `metrics` counts the connections that were closed to make room. With `tls` it serves HTTPS only. Raises `CannotOpen`
    when it can't listen there, or can't use a file, with the path of the setting below `settings` (`http` or `worker`).
    """
    if tls is not None:
        _check(tls, settings)
    listener = _listen(host, port, settings)
    address, place = _address(listener, "http" if tls is None else "https"), listener.getsockname()[:2]
    in_flight: InFlight = app.state[IN_FLIGHT]
    limits = in_flight.limits
    most = allow_open_files(limits.max_connections)
    in_flight.records_served = tls is not None
    handshake_seconds = limits.client_seconds if tls is not None else None
    connections = Connections(listener.getsockname()[1], most, in_flight, metrics, handshake_seconds)
    server = _EmbeddedServer(app, listener, slots(most), limits.client_seconds, tls)
    stop: Callable[[], None] = server.stop
    serving = asyncio.create_task(server.serve(), name="granian")
    stop_asked = asyncio.create_task(stopping.wait(), name="stopping")
    responding = asyncio.create_task(_first_response(place[0], place[1], tls), name="first response")
    limiting = asyncio.create_task(connections.run(), name="connections")
    try:
        await asyncio.wait((serving, stop_asked, responding), return_when=asyncio.FIRST_COMPLETED)
        if responding.done():
            responding.result()
            on_listening(address)
            await asyncio.wait((serving, stop_asked), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
            return
        stop()
        await _finished(serving, in_flight)
    finally:
        stop()  # not cancelled: granian's task ends with the last connection, and fails when it is cancelled before
        for task in (stop_asked, responding, limiting):
            task.cancel()
        await asyncio.gather(responding, limiting, return_exceptions=True)
        listener.close()  # granian does not close it when the service was stopped before it started


def _check(tls: TlsFiles, settings: str) -> None:
    """Raises `CannotOpen`. The server itself reports no setting, and ends the process for some of the errors."""
    for name, file in (("certificate", tls.certificate), ("key", tls.key)):
        try:
            file.read_bytes()
        except OSError as error:
            path = f"{settings}.tls.{name}"
            raise CannotOpen(f"{path}: {file} can't be read: {error.strerror or error}.", path=path) from error
    path = f"{settings}.tls"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, _no_password)
    except (ssl.SSLError, _PasswordNeeded) as error:
        raise CannotOpen(
            f"{path}: {tls.certificate} and {tls.key} can't be used: they must be PEM files with the certificate "
            f"(first) and with the key that belongs to it, without a password ({_reason(error)}).",
            path=path,
        ) from error


class _PasswordNeeded(Exception):
    def __init__(self) -> None:
        super().__init__("the key has a password")


def _no_password() -> NoReturn:
    raise _PasswordNeeded


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if isinstance(reason, str) else re.sub(r" \(_ssl\.c:\d+\)", "", str(error))


async def _first_response(host: str, port: int, tls: TlsFiles | None) -> None:
    """Returns when a request was served. A listening socket is no proof: the system accepts connections before the
    server reads from them."""
    while True:
        if await _responds(host, port, tls):
            return
        await asyncio.sleep(_SECONDS_TO_NEXT_TRY)


async def _responds(host: str, port: int, tls: TlsFiles | None) -> bool:
    try:
        async with asyncio.timeout(_SECONDS_FOR_A_RESPONSE):
            reader, writer = await asyncio.open_connection(host, port, ssl=_own_server() if tls else None)
            try:
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _own_server() -> ssl.SSLContext:
    """Its certificate is for the names of clients, not for the address that it listens on."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _EmbeddedServer(Server):
    """Takes a socket that is already listening. granian's own would be opened with SO_REUSEPORT, so that a second
    service on the same port would get half of the connections instead of an error."""

    def __init__(
        self, app: Litestar, listener: socket.socket, slots: int, client_seconds: float, tls: TlsFiles | None = None
    ) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,  # with HTTP/2, connections that send nothing would stay open forever
            websockets=False,
            backlog=BACKLOG,
            backpressure=slots,
            http1_settings=HTTP1Settings(header_read_timeout=int(client_seconds * 1_000)),
            log_level=LogLevels.error,
            log_dictconfig=_logging(),
            ssl_cert=tls.certificate if tls else None,
            ssl_key=tls.key if tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder
        self._shd = holder(self._listener.detach(), False, BACKLOG)


def _logging() -> dict[str, Any]:
    """In place of granian's own configuration, which would log to stdout and remove the handlers of others."""
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
                f"port {port} is reserved for the administrator; choose one above 1023 ({path}).", path=path
            )
        case _:
            return _no_address(host, f"{settings}.host", error)


def _no_address(host: str, path: str, error: OSError) -> CannotOpen:
    return CannotOpen(f"{path}: {host} is not an address of this machine: {error.strerror}.", path=path)


def _address(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _finished(serving: asyncio.Task[None], in_flight: InFlight) -> None:
    """granian ends when its connections have ended. A client that sent half a request, or does not read its stream,
    never ends its connection: when only those are left, they are cancelled."""
    deadline = asyncio.get_running_loop().time() + FINISH_SECONDS
    working = True
    while working and not serving.done():
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            logger.warning("%d requests were not finished within %g s", in_flight.working, FINISH_SECONDS)
            return
        before = in_flight.working
        await asyncio.wait((serving,), timeout=min(IDLE_SECONDS, left))
        working = before > 0 or in_flight.working > 0
    for task in in_flight.awaiting_client:
        task.cancel()
    if in_flight.awaiting_client:
        await asyncio.wait(in_flight.awaiting_client, timeout=IDLE_SECONDS)
