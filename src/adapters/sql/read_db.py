"""A read database in SQL: opens and closes it, and holds its ports.

The ports are in the modules beside this one, which import SQLAlchemy. That takes longer than importing the web
framework, so it is left to the first call, in a thread: a process that starts can answer commands before.
"""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from adapters.sql.address import Address
from adapters.threads import DaemonThreadPool
from application.errors import ReadDbUnavailable, SchemaOutdated
from application.ports.audit_rows import AuditRows
from application.ports.generations import Build, Generations, Swap
from application.ports.post_views import PostViews
from application.ports.provisioning import Probe, ProbeResult, Provisioning
from application.ports.read_db import ParkedStreams, ProjectionStore

if TYPE_CHECKING:
    from adapters.sql.backend import SqlBackend
    from adapters.sql.database import Database
    from adapters.sql.schema import SqlProvisioning

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """In seconds. `reader`: for a query; a projector waits as long as it takes. `probe`: a first connection, with TLS
    and a login, takes seconds where the machine is busy. `lock`: how long a rebuild waits for the lock of rebuilds.
    `closing`: how long calls in flight may take when the database is closed."""

    reader: float = 10.0
    probe: float = 5.0
    lock: float = 1.0
    closing: float = 5.0


class SqlReadDb:
    """Opened by `async with`: `check` may raise `CannotOpen` for what can be known at once; a server that is down is no
    reason to refuse. `connect` makes the engine. Both run in a thread. At most `threads` calls are in flight, each on a
    connection of its own."""

    def __init__(
        self,
        *,
        address: Address,
        threads: int,
        check: Callable[[], None],
        connect: Callable[[], "SqlBackend"],
        limits: TimeLimits | None = None,
    ) -> None:
        self.address = address
        self.post_views: PostViews = _late(self._loaded, lambda ports: ports.post_views)
        self.projection_store: ProjectionStore = _late(self._loaded, lambda ports: ports.projection_store)
        self.parked_streams: ParkedStreams = _late(self._loaded, lambda ports: ports.parked_streams)
        self.generations: Generations = cast("Generations", _LateGenerations(self._loaded))
        self.audit_rows: AuditRows = _late(self._loaded, lambda ports: ports.audit_rows)
        self.provisioning: Provisioning = _late(self._loaded, lambda ports: ports.provisioning)
        self.probe: Probe = _Probe(address, self._loaded, for_writing=False)
        self.writing_probe: Probe = _Probe(address, self._loaded, for_writing=True)
        self._check = check
        self._connect = connect
        self._limits = limits or TimeLimits()
        self._threads = DaemonThreadPool("postlog-read-db", threads)
        self._loading = threading.Lock()
        self._ports: _Ports | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        try:
            await self._threads.run(self._check)
        except BaseException:
            await self._threads.close(self._limits.closing)
            raise
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        await self._threads.close(self._limits.closing)
        ports, self._ports = self._ports, None
        if ports is not None:
            ports.database.close()

    async def _loaded(self) -> "_Ports":
        if not self._is_open:
            raise self.address.unreachable("it is closed")
        if self._ports is None:
            return await self._threads.run(self._load)
        return self._ports

    def _load(self) -> "_Ports":
        """Runs in a thread, without a time limit: how long it takes says nothing about the database."""
        with self._loading:
            if not self._is_open:
                raise self.address.unreachable("it is closed")
            if self._ports is None:
                self._ports = self._new_ports()
            return self._ports

    def _new_ports(self) -> "_Ports":
        from adapters.sql.audit_rows import SqlAuditRows
        from adapters.sql.database import Database
        from adapters.sql.generations import SqlGenerations
        from adapters.sql.parked_streams import SqlParkedStreams
        from adapters.sql.post_views import SqlPostViews
        from adapters.sql.projection_store import SqlProjectionStore
        from adapters.sql.schema import SqlProvisioning

        database = Database(self._connect(), self.address, self._threads, is_open=lambda: self._is_open)
        return _Ports(
            database=database,
            post_views=SqlPostViews(database, self._limits.reader),
            projection_store=SqlProjectionStore(database),
            parked_streams=SqlParkedStreams(database, self._limits.reader),
            generations=SqlGenerations(database, lock_seconds=self._limits.lock),
            audit_rows=SqlAuditRows(database),
            provisioning=SqlProvisioning(database),
            probing=SqlProvisioning(database, self._limits.probe),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    database: "Database"
    post_views: PostViews
    projection_store: ProjectionStore
    parked_streams: ParkedStreams
    generations: Generations
    audit_rows: AuditRows
    provisioning: Provisioning
    probing: "SqlProvisioning"


_Loaded = Callable[[], Awaitable[_Ports]]


def _late(loaded: _Loaded, port_of: Callable[[_Ports], T]) -> T:
    return cast("T", _LatePort(loaded, port_of))


class _LatePort:
    """Stands for a port until it is loaded: its async methods load it, and call the port's."""

    def __init__(self, loaded: _Loaded, port_of: Callable[[_Ports], object]) -> None:
        self._loaded = loaded
        self._port_of = port_of

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: object, **kwargs: object) -> Any:
            return await getattr(self._port_of(await self._loaded()), name)(*args, **kwargs)

        return call


class _LateGenerations(_LatePort):
    def __init__(self, loaded: _Loaded) -> None:
        super().__init__(loaded, lambda ports: ports.generations)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        async with (await self._loaded()).generations.lock():
            yield

    @asynccontextmanager
    async def swap(self, build: Build, *, keep_checkpoints: bool) -> AsyncIterator[Swap]:
        async with (await self._loaded()).generations.swap(build, keep_checkpoints=keep_checkpoints) as swap:
            yield swap


class _Probe:
    """Does the database answer, and has it the tables of this version? With `for_writing`, does it take writes? Readers
    may use a replica."""

    name = "read_db"

    def __init__(self, address: Address, loaded: _Loaded, *, for_writing: bool) -> None:
        self._address = address
        self._loaded = loaded
        self._for_writing = for_writing

    async def probe(self) -> ProbeResult:
        try:
            probing = (await self._loaded()).probing
            await probing.check_tables(for_writing=self._for_writing)
        except (ReadDbUnavailable, SchemaOutdated) as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        return ProbeResult(self.name, ok=True, detail=f"The read database {self._address.place} answers.")
