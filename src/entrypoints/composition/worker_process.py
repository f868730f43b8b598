"""Work in other processes: a child process answers requests one after the other, in the order in which they were sent.
Rebuilds and the check of all events share their work among such processes; each opens the log for itself."""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import uvloop

from application.errors import StoreUnavailable
from application.maintenance.events_check import PositionRange, RangeCheck, StreamLinks, Tally
from application.maintenance.rebuild_batches import ShardBatch, ShardedBatches, ShardReader
from application.ports.commit_log import Shard
from application.ports.read_db import RowChanges, Rows
from domain.errors import PostlogError
from entrypoints.composition.bootstrap import prepare
from entrypoints.composition.container import Container
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import LoadedSettings

RequestHandler = Callable[[Any], Awaitable[Any]]
"""Returns the response to a request. A `PostlogError` that it raises is raised in the parent."""

HandlerFactory = Callable[[Container, Resources], Awaitable[RequestHandler]]
"""Called in the child, once. It is pickled, so it is a function of a module, or a `partial` of one."""

_SECONDS_TO_END = 5.0

logger = logging.getLogger(__name__)


class ProcessEnded(StoreUnavailable):
    """The child ended before it responded."""


class WorkerProcess:
    """A child that ends with the `async with` block, or with this process. One thread talks to it. One that has
    children of its own must be `a_parent`: Python does not let its daemons have any."""

    def __init__(self, loaded: LoadedSettings, verb: str, make: HandlerFactory, *, a_parent: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(loaded, verb, make, theirs), daemon=not a_parent)
        self._theirs = theirs
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postlog-worker-process")

    async def __aenter__(self) -> Self:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._start)
        except asyncio.CancelledError:  # the thread starts the child all the same
            await self._close(self._terminate)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._terminate()  # from this thread: the other one may be waiting for a response
        await self._close()

    async def ask(self, request: object) -> Any:
        """Raises what the handler raises, and `ProcessEnded`."""
        return await asyncio.wrap_future(self.asked(request))

    def asked(self, request: object) -> "Future[Any]":
        """The same, from any thread."""
        return self._thread.submit(self._ask, request)

    async def _close(self, *before: Callable[[], None]) -> None:
        for step in (*before, self._end):
            await asyncio.get_running_loop().run_in_executor(self._thread, step)
        self._thread.shutdown()

    def _start(self) -> None:
        """A terminal sends Ctrl-C to all processes. SIGINT is blocked in this thread so that the child inherits the
        mask."""
        resource_tracker.ensure_running()  # else starting the child starts the tracker, which unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process.start()
        self._theirs.close()

    def _terminate(self) -> None:
        if self._process.pid is not None:
            self._process.terminate()

    def _ask(self, request: object) -> Any:
        try:
            self._connection.send(request)
            response = self._connection.recv()
        except (EOFError, OSError) as error:
            raise ProcessEnded(f"A process of this job ended before it was done: {error!r}.") from error
        if isinstance(response, PostlogError):
            raise response
        return response

    def _end(self) -> None:
        self._connection.close()
        if self._process.pid is None:
            return
        self._process.join(_SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _work(loaded: LoadedSettings, verb: str, make: HandlerFactory, connection: Connection) -> None:
    """In the child, until the parent closes the connection or is gone."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, suppress(asyncio.CancelledError):
        container = prepare(loaded, verb)
        try:
            runner.run(_respond(container, make, connection))
        except Exception:
            logger.exception("unexpected error")
            sys.exit(1)


async def _respond(container: Container, make: HandlerFactory, connection: Connection) -> None:
    requests: asyncio.Queue[Any] = asyncio.Queue()
    responding = asyncio.current_task()
    reading = (connection, asyncio.get_running_loop(), requests, responding)
    threading.Thread(target=_read, args=reading, name="requests", daemon=True).start()
    async with Resources(container) as resources:
        handle = await make(container, resources)
        while True:
            request = await requests.get()
            try:
                response = await handle(request)
            except PostlogError as error:
                response = error
            connection.send(response)


def _read(
    connection: Connection,
    loop: asyncio.AbstractEventLoop,
    requests: asyncio.Queue[Any],
    responding: asyncio.Task[None],
) -> None:
    """When the parent has closed the connection, whatever is in progress is cancelled."""
    try:
        while True:
            loop.call_soon_threadsafe(requests.put_nowait, connection.recv())
    except (EOFError, OSError):
        loop.call_soon_threadsafe(responding.cancel)
    time.sleep(_SECONDS_TO_END)
    os._exit(signal.SIGTERM)  # a thread still waits for a server that does not respond


@asynccontextmanager
async def sharded_batches(loaded: LoadedSettings, verb: str, container: Container) -> AsyncIterator[ShardedBatches]:
    """By `rebuild.workers` processes, which end with the block."""
    settings = loaded.settings.rebuild
    async with AsyncExitStack() as stack:
        processes = [WorkerProcess(loaded, verb, partial(folding, shard)) for shard in Shard.all(settings.workers)]
        workers = [ShardProcess(await stack.enter_async_context(process)) for process in processes]
        yield container.sharded_batches(workers)


class ShardProcess:
    """A `ShardWorker` in a process of its own."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    async def read(self, after: int, until: int) -> int:
        reached: int = await self._process.ask(("read", after, until))
        return reached

    async def cut(self, after: int, until: int) -> ShardBatch:
        cut: ShardBatch = await self._process.ask(("cut", after, until))
        return cut

    def fold(self, after: int, rows: Rows, now: datetime) -> "Future[RowChanges]":
        return self._process.asked(("fold", after, rows, now))


async def folding(shard: Shard, container: Container, resources: Resources) -> RequestHandler:
    """In the process, for as long as it lives."""
    log = (await resources.open_log()).commit_log
    work = ShardReader(log, container.codec(), shard, container.settings().rebuild.batch_events)

    async def answer(request: tuple[Any, ...]) -> Any:
        match request:
            case ("read", after, until):
                return await work.read(after, until)
            case ("cut", after, until):
                return work.cut(after, until)
            case ("fold", after, rows, now):
                return work.fold(after, rows, now)
            case _:
                raise ValueError(f"{request[0]!r} is nothing that a worker does")

    return answer


class RangeProcess:
    """A `RangeWorker` in a process of its own."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    async def check(self, positions: PositionRange, places: int) -> Tally:
        tally: Tally = await self._process.ask((positions, places))
        return tally

    async def last_links(self) -> StreamLinks:
        links: StreamLinks = await self._process.ask(())
        return links


async def checking(container: Container, resources: Resources) -> RequestHandler:
    await resources.open_log()
    check: RangeCheck = container.range_check()
    return lambda request: check.check(*request) if request else check.last_links()
