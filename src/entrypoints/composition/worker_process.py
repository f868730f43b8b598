"""Work in other processes: a child process answers requests one after the other, in the order in which they were sent.
Rebuilds and the check of all events share their work among such processes; each opens the log for itself."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
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
"""From a request to its answer; a `PostlogError` that it raises is raised where the request was made."""

HandlerFactory = Callable[[Container, Resources], Awaitable[RequestHandler]]
"""Called in the process, once. It is sent there, so it stands in a module, or is a `partial` of what does."""

_GOODBYE_SECONDS = 5.0


class WorkerProcess:
    """Ends with the `async with` block, or with this process. One thread talks to it."""

    def __init__(self, loaded: LoadedSettings, verb: str, make: HandlerFactory) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(loaded, verb, make, theirs), daemon=True)
        self._theirs = theirs
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postlog-worker-process")

    async def __aenter__(self) -> Self:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._start)
        except asyncio.CancelledError:  # the thread starts it all the same
            await self._in_the_end(self._terminate)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._terminate()  # from here: the thread may be waiting for an answer
        await self._in_the_end()

    async def ask(self, request: object) -> Any:
        """Raises what the answer raises there, and `StoreUnavailable` when the process is gone."""
        return await asyncio.wrap_future(self.asked(request))

    def asked(self, request: object) -> "Future[Any]":
        """The same, from any thread."""
        return self._thread.submit(self._ask, request)

    async def _in_the_end(self, *before: Callable[[], None]) -> None:
        for last in (*before, self._end):
            await asyncio.get_running_loop().run_in_executor(self._thread, last)
        self._thread.shutdown()

    def _start(self) -> None:
        """A terminal sends Ctrl-C to all. The process never hears it: it inherits what this thread is deaf to."""
        resource_tracker.ensure_running()  # else starting the process starts that, and opens the ears again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process.start()
        self._theirs.close()

    def _terminate(self) -> None:
        if self._process.pid is not None:
            self._process.terminate()

    def _ask(self, request: object) -> Any:
        try:
            self._connection.send(request)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise StoreUnavailable(f"A process of this job ended before it was done: {error!r}.") from error
        if isinstance(answer, PostlogError):
            raise answer
        return answer

    def _end(self) -> None:
        self._connection.close()
        if self._process.pid is None:
            return
        self._process.join(_GOODBYE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _work(loaded: LoadedSettings, verb: str, make: HandlerFactory, connection: Connection) -> None:
    """The process that asks decides when this one ends: it closes the connection, or is gone."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(prepare(loaded, verb), make, connection))


async def _answer(container: Container, make: HandlerFactory, connection: Connection) -> None:
    async with Resources(container) as resources:
        answering = await make(container, resources)
        while (request := await asyncio.to_thread(_receive, connection)) is not None:
            try:
                answer = await answering(request)
            except PostlogError as error:
                answer = error
            connection.send(answer)


def _receive(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return None


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
