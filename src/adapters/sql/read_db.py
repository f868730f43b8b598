"""A read database in SQL, as the rest of the program holds it.

Nothing here imports SQLAlchemy: that takes longer than the whole web framework. It is left to the thread that first
needs it, so that a process that starts can answer commands before.

Rows for queries from a SQL read database. The work itself is `reading`.

Rows and checkpoint of a SQL read database, in one transaction. The work itself is `projecting` and `live_row`.

Which posts wait in a SQL read database, and why.

Builds of a SQL read database. The work itself is `building`.

The rows of a SQL read database, for the audit. The work itself is `auditing`.

Makes the tables of a SQL read database, and brings older ones up to date. The work itself is `schema`.

Does the read database answer, has it the tables that this version needs, and does it take writes from who writes?
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from adapters.sql.batched_lookup import BatchedLookup
from adapters.threads import DaemonThreadPool
from application.errors import ReadDbUnavailable, RebuildRunning, SchemaOutdated
from application.ports.audit_rows import AuditedPost, AuditStart
from application.ports.generations import Build
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp, Stamped
from application.ports.provisioning import ProbeResult
from application.ports.read_db import Checkpoint, Fold, LiveGeneration, ParkedStream, ProjectionBatch, RowKeys
from application.rows import CommentKey, CommentRow, PostRow
from domain.ids import PostId

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.sql.address import Address
    from adapters.sql.backend import SqlBackend
    from adapters.sql.building import SwapTransaction
    from adapters.sql.open_database import OpenDatabase

T = TypeVar("T")

_CLOSING_SECONDS = 5.0


class RunInThread(Protocol):
    async def __call__(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; it may be repeated. Raises as `SqlReadDb.run`."""
        ...


class SqlReadDb:
    """Opened by `async with`: `check` may refuse then what can be refused at once (`CannotOpen`), and a server that is
    away is no reason to. `connect` makes the engine. Both run in a thread. At most `threads` calls are under way, each
    on a connection of its own."""

    def __init__(
        self, *, address: Address, threads: int, check: Callable[[], None], connect: Callable[[], SqlBackend]
    ) -> None:
        self.address = address
        self._check = check
        self._connect = connect
        self._threads = DaemonThreadPool("postlog-read-db", threads)
        self._opening = threading.Lock()
        self._open: OpenDatabase | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        try:
            await self._threads.run(self._check)
        except BaseException:
            await self._threads.close(_CLOSING_SECONDS)
            raise
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        await self._threads.close(_CLOSING_SECONDS)
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    async def run(self, work: Callable[[OpenDatabase], T], seconds: float | None = None) -> T:
        """Run `work` in a thread; it may be repeated. Raises `ReadDbUnavailable`, also when it took longer than
        `seconds`, and `SchemaOutdated` when the tables are not there."""
        if not self._is_open:
            raise self._away("it is closed")
        if self._open is None:
            await self._threads.run(self._opened)  # imports, which may take seconds and say nothing of the database
        asked = threading.Event()
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._threads.run(lambda: self._perform(work, asked))
        except TimeoutError as error:
            if not limit.expired():
                raise
            busy = "" if asked.is_set() else "; all connections of this process (pool_size) wait for answers"
            raise self._away(f"no answer within {seconds:g} seconds{busy}") from error

    @asynccontextmanager
    async def own_thread(self) -> AsyncIterator[RunInThread]:
        """For calls that keep a connection from one to the next: all other threads may be waiting for it."""
        thread = DaemonThreadPool("postlog-read-db-transaction", 1)

        async def run(work: Callable[[], T]) -> T:
            return await thread.run(lambda: self._perform(lambda _: work(), threading.Event()))

        try:
            yield run
        finally:
            await thread.close(_CLOSING_SECONDS)

    def _perform(self, work: Callable[[OpenDatabase], T], asked: threading.Event) -> T:
        asked.set()
        opened = self._opened()
        try:
            return opened.attempt(work)
        finally:
            if not self._is_open:  # it was closed without waiting for us
                opened.close()

    def _opened(self) -> OpenDatabase:
        with self._opening:
            if not self._is_open:
                raise self._away("it is closed")
            if self._open is None:
                from adapters.sql.open_database import OpenDatabase

                self._open = OpenDatabase(self._connect(), self.address)
            return self._open

    def _away(self, reason: str) -> ReadDbUnavailable:
        return ReadDbUnavailable(self.address.away(reason), path=self.address.setting)


_READER_SECONDS = 10.0
"""How many seconds a reader waits for a database that froze."""


class SqlPostViews:
    def __init__(self, database: SqlReadDb) -> None:
        self._database = database
        self._posts_by_id = BatchedLookup(self._look_up)

    async def post(self, post_id: PostId) -> Stamped[PostWithComments | None]:
        return await self._posts_by_id.get(post_id)

    async def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        return await self._database.run(lambda opened: opened.reading.posts(wanted, limit, after), _READER_SECONDS)

    async def comments(
        self, post_id: PostId, limit: int, after: CommentKeyset | None
    ) -> Stamped[list[CommentRow] | None]:
        return await self._database.run(lambda opened: opened.reading.comments(post_id, limit, after), _READER_SECONDS)

    async def stamp(self) -> Stamp:
        return await self._database.run(lambda opened: opened.reading.stamp(), _READER_SECONDS)

    async def _look_up(self, post_ids: Sequence[PostId]) -> Mapping[PostId, Stamped[PostWithComments | None]]:
        return await self._database.run(lambda opened: opened.reading.posts_by_id(post_ids), _READER_SECONDS)


class SqlProjectionStore:
    def __init__(self, database: SqlReadDb) -> None:
        self._database = database

    async def live(self) -> LiveGeneration:
        return await self._database.run(lambda opened: opened.live_row.live())

    async def database_id(self) -> str:
        return await self._database.run(lambda opened: opened.live_row.database_id())

    async def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        return await self._database.run(lambda opened: opened.live_row.checkpoints(generation))

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        await self._database.run(lambda opened: opened.projecting.project(batch, fold))

    async def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        return await self._database.run(lambda opened: opened.live_row.claim(generation, log_id, partitions))

    async def mark_ready(self, generation: int) -> None:
        await self._database.run(lambda opened: opened.live_row.mark_ready(generation))


"""How many seconds a reader waits for a database that froze."""


class SqlParkedStreams:
    def __init__(self, database: SqlReadDb) -> None:
        self._database = database

    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        return await self._database.run(lambda opened: opened.parked.parked(limit, after), _READER_SECONDS)

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        return await self._database.run(lambda opened: opened.parked.parked_stream(post_id), _READER_SECONDS)


_LOCK_SECONDS = 1.0
_POLL_SECONDS = 0.05


class SqlGenerations:
    def __init__(self, database: SqlReadDb) -> None:
        self._database = database

    def lock(self) -> AbstractAsyncContextManager[None]:
        return self._holding_the_lock()

    @asynccontextmanager
    async def _holding_the_lock(self) -> AsyncIterator[None]:
        release = await self._lock_within(_LOCK_SECONDS)
        if release is None:
            raise RebuildRunning(f"Another rebuild of the read database {self._database.address.place} is running.")
        try:
            yield
        finally:
            await asyncio.to_thread(release)

    async def _lock_within(self, seconds: float) -> Callable[[], None] | None:
        """Whoever asks whether it is locked holds it for a moment, too; and one that was cancelled is about to go."""
        until = time.monotonic() + seconds
        while True:
            release = await self._try_lock()
            if release is not None or time.monotonic() >= until:
                return release
            await asyncio.sleep(_POLL_SECONDS)

    async def is_locked(self) -> bool:
        release = await self._try_lock()
        if release is not None:
            await asyncio.to_thread(release)
        return release is None

    async def _try_lock(self) -> Callable[[], None] | None:
        return await self._database.run(lambda opened: opened.try_lock())

    async def builds(self, limit: int = 20) -> Sequence[Build]:
        return await self._database.run(lambda opened: opened.building.builds(limit))

    async def begin(self, log_id: str, target: int, now: datetime) -> Build:
        return await self._database.run(lambda opened: opened.building.begin(log_id, target, now))

    async def empty(self, build: Build, now: datetime) -> Build:
        return await self._database.run(lambda opened: opened.building.empty(build, now))

    async def load(self, build: Build, after: Build, row_keys: RowKeys, fold: Fold) -> None:
        await self._database.run(lambda opened: opened.building.load(build, after, row_keys, fold))

    @asynccontextmanager
    async def swap(self, build: Build, *, keep_checkpoints: bool) -> AsyncIterator[SqlSwap]:
        transaction = await self._database.run(
            lambda opened: opened.building.swap(build, keep_checkpoints=keep_checkpoints)
        )
        async with self._database.own_thread() as run:
            try:
                await run(transaction.begin)
                yield SqlSwap(transaction, run)
            finally:  # also of a beginning that was cancelled: the thread ends that first
                with suppress(ReadDbUnavailable):  # a connection that is gone took its transaction along
                    await asyncio.shield(run(transaction.roll_back))

    async def cancel(self, build: Build, now: datetime) -> None:
        await self._database.run(lambda opened: opened.building.cancel(build, now))

    async def record_failure(self, build: Build, error: str) -> None:
        await self._database.run(lambda opened: opened.building.record_failure(build, error))


class SqlSwap:
    def __init__(self, transaction: SwapTransaction, run: RunInThread) -> None:
        self._transaction = transaction
        self._run = run
        self.checkpoints = transaction.checkpoints

    async def finish(self, build: Build, row_keys: RowKeys, fold: Fold) -> LiveGeneration:
        return await self._run(lambda: self._transaction.finish(build, row_keys, fold))


class SqlAuditRows:
    def __init__(self, database: SqlReadDb) -> None:
        self._database = database

    async def start(self) -> AuditStart:
        return await self._database.run(lambda opened: opened.auditing.start())

    async def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        return await self._database.run(lambda opened: opened.auditing.page(generation, after, limit))

    async def by_ids(self, generation: int, post_ids: Collection[PostId]) -> Sequence[AuditedPost]:
        return await self._database.run(lambda opened: opened.auditing.by_ids(generation, post_ids))

    async def parked(self, generation: int) -> frozenset[PostId]:
        return await self._database.run(lambda opened: opened.auditing.parked(generation))

    async def orphans(self, generation: int, limit: int) -> Sequence[CommentKey]:
        return await self._database.run(lambda opened: opened.auditing.orphans(generation, limit))


class SqlProvisioning:
    def __init__(self, database: SqlReadDb) -> None:
        self._database = database

    async def provision(self) -> list[str]:
        """Raises `SchemaOutdated` when a newer version of Postlog made the tables."""
        return await self._database.run(lambda opened: opened.schema.provision())

    async def check(self) -> None:
        """Raises also for a database that takes no writes, and for a login without the rights."""
        await self._database.run(_check)


def _check(opened: OpenDatabase) -> None:
    opened.schema.check()
    opened.schema.check_writable()
    opened.schema.check_rights()


_PROBE_SECONDS = 5.0
"""A first connection, with TLS and a login, takes seconds where the machine is busy."""


class SqlProbe:
    name = "read_db"

    def __init__(self, database: SqlReadDb, *, for_writing: bool = False) -> None:
        """`for_writing` as a projector asks: readers may use a replica."""
        self._database = database
        self._for_writing = for_writing

    async def probe(self) -> ProbeResult:
        try:
            await self._database.run(self._check, _PROBE_SECONDS)
        except (ReadDbUnavailable, SchemaOutdated) as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        return ProbeResult(self.name, ok=True, detail=f"The read database {self._database.address.place} answers.")

    def _check(self, opened: OpenDatabase) -> None:
        opened.schema.check()
        if self._for_writing:
            opened.schema.check_writable()
