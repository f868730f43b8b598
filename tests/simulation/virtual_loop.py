"""An event loop whose time is virtual: when nothing is ready, the clock jumps to the next timer.

There are no threads and no sockets. What runs belongs to a simulated process, named by a context variable: a process
that was killed runs nothing any more, not even its `finally` blocks, and one that is paused runs it when it wakes.
"""

import asyncio
import heapq
import warnings
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

SERVER_CONTEXT = Context()
"""What runs here belongs to no process: servers, clients and the simulation itself."""


class Process:
    """One simulated operating-system process. `fuse`: it is killed after so many more steps (None: it is not)."""

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.fuse: int | None = None
        self.at_death: list[Callable[[], None]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._loop = loop
        self._backlog: list[asyncio.Handle] = []
        self._context = copy_context()
        self._context.run(CURRENT.set, self)
        loop.processes.append(self)  # what the killed were doing must not be collected, or `finally` blocks would run

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._loop.create_task(coroutine, context=self._context.copy())

    def kill(self) -> None:
        """As kill -9 does: every await is the last one."""
        if self.alive:
            self.alive = False
            self._backlog.clear()
            for each in self.at_death:
                self._loop.call_soon(each, context=SERVER_CONTEXT)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        backlog, self._backlog = self._backlog, []
        for handle in backlog:
            self._loop.add_handle(handle)

    def may_run(self, handle: asyncio.Handle) -> bool:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.kill()
        if self.paused and self.alive:
            self._backlog.append(handle)
            return False
        return self.alive


CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
SERVER_CONTEXT.run(CURRENT.set, None)


class NothingLeft(Exception):
    """No timer is due, ever: everything waits for something else."""


class TooLong(Exception):
    """More steps than any run needs: something runs without a pause."""


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self, max_steps: int) -> None:
        super().__init__()
        self.steps = 0
        self.processes: list[Process] = []
        self.running: Process | None = None
        self._max_steps = max_steps
        self._virtual = 0.0
        self.set_task_factory(_register)
        self.set_exception_handler(lambda *_: None)  # the killed leave unread errors behind

    def time(self) -> float:
        return self._virtual

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        self.adopt(context)
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.adopt(context)
        return super().call_at(when, callback, *args, context=context)

    def adopt(self, context: Context | None) -> None:
        """What a process begins in an empty context is its own all the same."""
        if context is not None and self.running is not None and CURRENT not in context:
            context.run(CURRENT.set, self.running)

    def add_handle(self, handle: asyncio.Handle) -> None:
        self._ready.append(handle)

    def run_in_executor(self, _: object, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """At once: nothing else runs meanwhile."""
        done = self.create_future()
        try:
            done.set_result(work(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _process_events(self, event_list: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not ready:
            if not timers:
                raise NothingLeft
            self._virtual = max(self._virtual, timers[0]._when)
        while timers and timers[0]._when <= self._virtual:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(CURRENT)
            if process is None or process.may_run(handle):
                self.steps += 1
                self.running = process
                handle._run()
                self.running = None
        if self.steps > self._max_steps:
            raise TooLong(f"{self.steps} steps, and it is only {self._virtual:.3f} s")

    def bury(self) -> None:
        """Close what is left, so that it is not closed in the middle of another run."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of coroutines that a killed process had not yet begun
            for task in asyncio.all_tasks(self):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task)
            self._ready.clear()
            self._scheduled.clear()
            self.processes.clear()
        self.close()


def _close(task: asyncio.Task[Any]) -> None:
    for _ in range(20):  # a `finally` may await
        try:
            task.get_coro().close()  # type: ignore[union-attr]
        except BaseException:
            continue
        return


def _register(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    assert isinstance(loop, VirtualLoop)
    context = options.pop("context", None) or copy_context()
    loop.adopt(context)
    task = asyncio.Task(coroutine, loop=loop, context=context, **options)
    process = context.get(CURRENT)
    if process is not None:
        process.tasks.append(task)
    return task
