"""An event loop whose time is virtual: when nothing is ready, the clock jumps to the next timer.

There are no threads and no sockets. What runs belongs to a simulated process, named by a context variable: a process
that was killed runs nothing any more, not even its `finally` blocks, and one that is paused runs it when it wakes.
"""

import asyncio
import heapq
import warnings
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
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
        self._loop = loop
        self._backlog: list[Step] = []
        self._context = copy_context()
        self._context.run(CURRENT.set, self)

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
        for step in backlog:
            self._loop.add(step)

    def may_run(self, step: "Step") -> bool:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.kill()
        if self.paused and self.alive:
            self._backlog.append(step)
            return False
        return self.alive


CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
SERVER_CONTEXT.run(CURRENT.set, None)


class NothingLeft(Exception):
    """No timer is due, ever: everything waits for something else."""


class TooLong(Exception):
    """More steps than any run needs: something runs without a pause."""


class Step(asyncio.TimerHandle):
    """Without what asyncio's own handles keep for debugging: half of a run's time is the loop's."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None) -> None:
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._args = ()


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self, max_steps: int) -> None:
        super().__init__()
        self.steps = 0
        self.tasks: list[asyncio.Task[Any]] = []
        """Also those of the killed: they must not be collected, or `finally` blocks would run."""
        self.running: Process | None = None
        self._max_steps = max_steps
        self._virtual = 0.0
        self._ready: deque[Step] = deque()
        self._timers: list[tuple[float, int, Step]] = []
        self._numbers = count()
        self.set_task_factory(_register)

    def time(self) -> float:
        return self._virtual

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Step:
        if context is not None and context is not SERVER_CONTEXT:
            self.adopt(context)
        step = Step(callback, args, context)
        self._ready.append(step)
        return step

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Step:
        return self.call_at(self._virtual + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Step:
        if context is not None and context is not SERVER_CONTEXT:
            self.adopt(context)
        step = Step(callback, args, context)
        heapq.heappush(self._timers, (when, next(self._numbers), step))
        return step

    def adopt(self, context: Context) -> None:
        """What a process begins in an empty context is its own all the same."""
        if self.running is not None and CURRENT not in context:
            context.run(CURRENT.set, self.running)

    def add(self, step: Step) -> None:
        self._ready.append(step)

    def run_in_executor(self, _: object, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """At once: nothing else runs meanwhile."""
        done = self.create_future()
        try:
            done.set_result(work(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def call_exception_handler(self, context: object) -> None:
        """The killed leave unread errors behind."""

    def _process_events(self, event_list: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _run_once(self) -> None:
        """Until the loop is stopped."""
        ready, timers = self._ready, self._timers
        while not self._stopping:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not ready:
                if not timers:
                    raise NothingLeft
                self._virtual = max(self._virtual, timers[0][0])
            while timers and timers[0][0] <= self._virtual:
                ready.append(heapq.heappop(timers)[2])
            for _ in range(len(ready)):
                step = ready.popleft()
                if step._cancelled:
                    continue
                if step._context is SERVER_CONTEXT:
                    self.steps += 1
                    step._callback(*step._args)
                else:
                    self._run(step)
            if self.steps > self._max_steps:
                raise TooLong(f"{self.steps} steps, and it is only {self._virtual:.3f} s")

    def _run(self, step: Step) -> None:
        process = step._context.get(CURRENT)
        if process is None or process.may_run(step):
            self.steps += 1
            self.running = process
            step._context.run(step._callback, *step._args)
            self.running = None

    def bury(self) -> None:
        """Close what is left, so that it is not closed in the middle of another run."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of coroutines that a killed process had not yet begun
            for task in self.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _close(task)
            self._ready.clear()
            self._timers.clear()
            self.tasks.clear()
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
    loop.tasks.append(task)
    return task
