"""A process beside this one that works on requests, one after the other, in the order in which they were asked."""

import asyncio
import multiprocessing
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from application.errors import StoreUnavailable
from domain.errors import PostlogError
from entrypoints.composition.container import Container
from entrypoints.composition.lifetime import Lifetime
from entrypoints.settings.loading import LoadedSettings

Answering = Callable[[Any], Awaitable[Any]]
"""From a request to its answer; a `PostlogError` that it raises is raised where the request was made."""

MakeAnswering = Callable[[Container, Lifetime], Awaitable[Answering]]
"""Called in the process, once. It is sent there, so it stands in a module, or is a `partial` of what does."""

_GOODBYE_SECONDS = 5.0


class WorkerProcess:
    """Ends with the `async with` block, or with this process. One thread talks to it."""

    def __init__(self, loaded: LoadedSettings, verb: str, make: MakeAnswering) -> None:
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


def _work(loaded: LoadedSettings, verb: str, make: MakeAnswering, connection: Connection) -> None:
    """The process that asks decides when this one ends: it closes the connection, or is gone."""
    import uvloop

    from entrypoints.composition.jobs import prepare

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(prepare(loaded, verb), make, connection))


async def _answer(container: Container, make: MakeAnswering, connection: Connection) -> None:
    async with Lifetime(container) as lifetime:
        answering = await make(container, lifetime)
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
