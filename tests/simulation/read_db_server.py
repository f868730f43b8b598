"""The simulated read database: the one in memory behind a network, with transactions that wait for each other.

A transaction takes effect at one moment, the one of its commit; while a swap is open, others wait. When a process is
killed or its session is cut, its open transaction is rolled back, and its lock is free.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from adapters.memory.generations import MemoryGenerations, MemorySwap
from adapters.memory.read_db import (
    MemoryAuditRows,
    MemoryParkedStreams,
    MemoryPostViews,
    MemoryProjectionStore,
    MemoryReadDb,
)
from application.errors import ReadDbUnavailable, RebuildRunning
from application.ports.audit_rows import AuditedPost, AuditStart
from application.ports.generations import Build, SwapInterrupted
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp, Stamped
from application.ports.read_db import (
    Checkpoint,
    Fold,
    LiveGeneration,
    ParkedStream,
    ProjectionBatch,
    RowChanges,
    RowKeys,
    Rows,
)
from application.rows import CommentKey, CommentRow, PostRow
from domain.ids import PostId
from simulation.faults import READ_DB
from simulation.network import Network, now_of
from simulation.virtual_loop import CURRENT, SERVER_CONTEXT, Process

T = TypeVar("T")


class OpenSwap:
    def __init__(self, owner: Process | None, transaction: AbstractAsyncContextManager[MemorySwap]) -> None:
        self.owner = owner
        self.is_open = True
        self._transaction = transaction
        self.memory = now_of(transaction.__aenter__())  # type: ignore[arg-type]

    def end(self) -> None:
        if self.is_open:
            self.is_open = False
            now_of(self._transaction.__aexit__(None, None, None))  # type: ignore[arg-type]


class ReadDbServer:
    """`on_commit` is called after each transaction, with the posts that it may have changed."""

    def __init__(self, network: Network, memory: MemoryReadDb) -> None:
        self.network = network
        self.memory = memory
        self.on_commit: Callable[[], None] = lambda: None
        self.store = MemoryProjectionStore(memory)
        self.generations = MemoryGenerations(memory)
        self.views = MemoryPostViews(memory)
        self.audit_rows = MemoryAuditRows(memory)
        self.parked = MemoryParkedStreams(memory)
        self.swap: OpenSwap | None = None
        self.builder: object | None = None
        """Who holds the lock of builds."""
        self._waiting: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []

    def read(self, read: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Future[T]:
        return self.network.call(READ_DB, lambda: now_of(read()), ReadDbUnavailable)

    async def write(self, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """A transaction, which waits while a swap is open."""

        def commit() -> T:
            result = now_of(write())
            self.on_commit()
            return result

        return await self.when_free(commit)

    async def when_free(self, operation: Callable[[], T]) -> T:
        loop, owner = asyncio.get_running_loop(), CURRENT.get()
        done: asyncio.Future[T] = loop.create_future()

        def attempt() -> None:
            if self.swap is not None:
                self._waiting.append((loop, attempt))
            elif (owner is None or owner.alive) and not done.done():
                try:
                    result = operation()
                except Exception as error:
                    done.set_exception(error)
                else:
                    done.set_result(result)

        plan = self.network.plan(READ_DB, writes=True)
        loses_answer, plan.unknown = plan.unknown, False
        await self.network.send(READ_DB, attempt, ReadDbUnavailable, plan)
        epoch = self.network.servers[READ_DB].epoch
        try:
            result = await done
        except asyncio.CancelledError:
            done.cancel()
            raise
        if loses_answer or epoch != self.network.servers[READ_DB].epoch:
            await asyncio.sleep(plan.error_after)
            raise ReadDbUnavailable("The connection was lost during the commit.")
        return result

    def end_swap(self, swap: OpenSwap) -> None:
        swap.end()
        if self.swap is swap:
            self.swap = None
            waiting, self._waiting = self._waiting, []
            for loop, attempt in waiting:
                loop.call_soon(attempt, context=SERVER_CONTEXT)

    def cut_all(self) -> None:
        """Every connection is lost, and with it open transactions and locks."""
        self.network.cut(READ_DB)
        self.cut()

    def cut(self, owner: object | None = None) -> None:
        """The sessions of this process are gone; None: all sessions."""
        if self.swap is not None and owner in (None, self.swap.owner):
            self.end_swap(self.swap)
        if owner in (None, self.builder):
            self.builder = None


class SimulatedProjectionStore:
    def __init__(self, server: ReadDbServer) -> None:
        self._server = server

    async def live(self) -> LiveGeneration:
        return await self._server.read(self._server.store.live)

    async def database_id(self) -> str:
        return await self._server.read(self._server.store.database_id)

    async def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        return await self._server.read(lambda: self._server.store.checkpoints(generation))

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        fold = self._repeated(fold)
        await self._server.write(lambda: self._server.store.project(batch, fold))

    async def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        return await self._server.write(lambda: self._server.store.claim(generation, log_id, partitions))

    async def mark_ready(self, generation: int) -> None:
        await self._server.write(lambda: self._server.store.mark_ready(generation))

    def _repeated(self, fold: Fold) -> Fold:
        """A transaction may be repeated inside, and the fold with it."""
        if not self._server.network.happens("transaction repeated", READ_DB):
            return fold

        def twice(rows: Rows) -> RowChanges:
            fold(rows)
            return fold(rows)

        return twice


class SimulatedParkedStreams:
    def __init__(self, server: ReadDbServer) -> None:
        self._server = server

    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        return await self._server.read(lambda: self._server.parked.parked(limit, after))

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        return await self._server.read(lambda: self._server.parked.parked_stream(post_id))


class SimulatedPostViews:
    def __init__(self, server: ReadDbServer) -> None:
        self._server = server

    async def post(self, post_id: PostId) -> Stamped[PostWithComments | None]:
        return await self._server.read(lambda: self._server.views.post(post_id))

    async def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        return await self._server.read(lambda: self._server.views.posts(wanted, limit, after))

    async def comments(
        self, post_id: PostId, limit: int, after: CommentKeyset | None
    ) -> Stamped[list[CommentRow] | None]:
        return await self._server.read(lambda: self._server.views.comments(post_id, limit, after))

    async def stamp(self) -> Stamp:
        return await self._server.read(self._server.views.stamp)


class SimulatedAuditRows:
    def __init__(self, server: ReadDbServer) -> None:
        self._server = server

    async def start(self) -> AuditStart:
        return await self._server.read(self._server.audit_rows.start)

    async def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        return await self._server.read(lambda: self._server.audit_rows.page(generation, after, limit))

    async def by_ids(self, generation: int, post_ids: Any) -> Sequence[AuditedPost]:
        return await self._server.read(lambda: self._server.audit_rows.by_ids(generation, post_ids))

    async def parked(self, generation: int) -> frozenset[PostId]:
        return await self._server.read(lambda: self._server.audit_rows.parked(generation))

    async def orphans(self, generation: int, limit: int) -> Sequence[CommentKey]:
        return await self._server.read(lambda: self._server.audit_rows.orphans(generation, limit))


class SimulatedGenerations:
    def __init__(self, server: ReadDbServer) -> None:
        self._server = server

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        owner = CURRENT.get() or object()

        def take() -> None:
            if self._server.builder is not None:
                raise RebuildRunning("Another rebuild of this read database is running.")
            if not isinstance(owner, Process) or owner.alive:  # the killed have no session that could hold it
                self._server.builder = owner

        try:
            await self._server.network.call(READ_DB, take, ReadDbUnavailable)
            yield
        finally:
            if self._server.builder is owner:
                self._server.builder = None

    async def is_locked(self) -> bool:
        return await self._server.network.call(READ_DB, lambda: self._server.builder is not None, ReadDbUnavailable)

    async def builds(self, limit: int = 20) -> Sequence[Build]:
        return await self._server.read(lambda: self._server.generations.builds(limit))

    async def begin(self, log_id: str, target: int, now: datetime) -> Build:
        return await self._server.write(lambda: self._server.generations.begin(log_id, target, now))

    async def empty(self, build: Build, now: datetime) -> Build:
        return await self._server.write(lambda: self._server.generations.empty(build, now))

    async def load(self, build: Build, after: Build, row_keys: RowKeys, fold: Fold) -> None:
        await self._server.write(lambda: self._server.generations.load(build, after, row_keys, fold))

    @asynccontextmanager
    async def swap(self, build: Build, *, keep_checkpoints: bool) -> AsyncIterator["SimulatedSwap"]:
        server, owner = self._server, CURRENT.get()
        begun: list[OpenSwap] = []

        def begin() -> None:
            server.swap = OpenSwap(owner, server.generations.swap(build, keep_checkpoints=keep_checkpoints))
            begun.append(server.swap)

        try:
            await server.when_free(begin)
            yield SimulatedSwap(server, begun[0])
        finally:
            for each in begun:  # at once, also if the connection is lost: the server rolls back then
                server.end_swap(each)

    async def cancel(self, build: Build, now: datetime) -> None:
        await self._server.write(lambda: self._server.generations.cancel(build, now))

    async def record_failure(self, build: Build, error: str) -> None:
        await self._server.write(lambda: self._server.generations.record_failure(build, error))


class SimulatedSwap:
    def __init__(self, server: ReadDbServer, swap: OpenSwap) -> None:
        self._server = server
        self._swap = swap

    @property
    def checkpoints(self) -> Mapping[int, Checkpoint]:
        return self._swap.memory.checkpoints

    async def finish(self, build: Build, row_keys: RowKeys, fold: Fold) -> LiveGeneration:
        server, swap = self._server, self._swap

        def commit() -> LiveGeneration:
            if not swap.is_open:
                raise SwapInterrupted
            live = now_of(swap.memory.finish(build, row_keys, fold))
            server.end_swap(swap)
            server.on_commit()
            return live

        return await server.network.call(READ_DB, commit, ReadDbUnavailable, writes=True)
