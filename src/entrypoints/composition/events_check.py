"""The check of all events, in as many processes as are wanted: each opens the log for itself."""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from application.errors import StoreUnavailable
from application.maintenance.events_check import EventsCheck, Span, SpanCheck, SpanWorker, Tally
from domain.errors import PostlogError
from entrypoints.composition.container import Container
from entrypoints.composition.jobs import prepare
from entrypoints.composition.lifetime import Lifetime
from entrypoints.settings.checks import require_files
from entrypoints.settings.loading import LoadedSettings

VERB = "events check"

_COMMITS_A_PROCESS = 20_000
"""Of fewer, a process would only just have started when they are read."""

_GOODBYE_SECONDS = 5.0


@asynccontextmanager
async def with_events_check(
    loaded: LoadedSettings, processes: int, places: int
) -> AsyncIterator[tuple[EventsCheck, int]]:
    """The check, and how many commits there are. A short log is checked in this process alone. Raises
    `StoreUnavailable`."""
    container = prepare(loaded, VERB)
    require_files(loaded.settings, loaded.sources, "event_store")
    async with AsyncExitStack() as stack:
        lifetime = await stack.enter_async_context(Lifetime(container))
        log = (await lifetime.open_log()).commit_log
        tip = await log.tip()
        wanted = min(processes, tip // _COMMITS_A_PROCESS)
        workers: Sequence[SpanWorker] = [SpanCheck(log, container.codec())]
        if wanted > 1:
            workers = [await stack.enter_async_context(WorkerProcess(loaded)) for _ in range(wanted)]
        yield EventsCheck(log, workers, places), tip


class WorkerProcess:
    """A `SpanWorker` in a process of its own, which ends with the `async with` block, or with this process. One
    thread talks to it."""

    def __init__(self, loaded: LoadedSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(loaded, theirs), daemon=True)
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

    async def _in_the_end(self, *before: Callable[[], None]) -> None:
        for last in (*before, self._end):
            await asyncio.get_running_loop().run_in_executor(self._thread, last)
        self._thread.shutdown()

    async def check(self, span: Span, places: int) -> Tally:
        answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, span, places)
        if isinstance(answer, PostlogError):
            raise answer
        return answer

    def _start(self) -> None:
        """A terminal sends Ctrl-C to all. The process never hears it: it inherits what this thread is deaf to."""
        resource_tracker.ensure_running()  # else starting the process starts that, and opens the ears again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process.start()
        self._theirs.close()

    def _terminate(self) -> None:
        if self._process.pid is not None:
            self._process.terminate()

    def _ask(self, span: Span, places: int) -> Tally | PostlogError:
        try:
            self._connection.send((span, places))
            answer: Tally | PostlogError = self._connection.recv()
        except (EOFError, OSError) as error:
            raise StoreUnavailable(f"A process of the check ended before it was done: {error!r}.") from error
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


def _work(loaded: LoadedSettings, connection: Connection) -> None:
    """The process that asks decides when this one ends: it closes the connection, or is gone."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(prepare(loaded, VERB), connection))


async def _answer(container: Container, connection: Connection) -> None:
    async with Lifetime(container) as lifetime:
        check = SpanCheck((await lifetime.open_log()).commit_log, container.codec())
        while (asked := await asyncio.to_thread(_receive, connection)) is not None:
            span, places = asked
            try:
                answer: Tally | PostlogError = await check.check(span, places)
            except PostlogError as error:
                answer = error
            connection.send(answer)


def _receive(connection: Connection) -> tuple[Span, int] | None:
    try:
        asked: tuple[Span, int] = connection.recv()
    except EOFError:
        return None
    return asked
