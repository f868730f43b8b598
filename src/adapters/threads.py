"""A bounded pool of threads for a synchronous driver.

The threads are daemons, unlike those of `concurrent.futures`: a call that hangs in a frozen server does not keep the
process from ending.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThreadPool:
    """At most `limit` calls run at once; others wait in the order in which they came. Its methods are called from one
    event loop. With a limit of 1 the calls run one after the other."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """The future of what `work` returns or raises. If it is cancelled before a thread takes the work, the work is
        not started; work that has started runs to its end."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._limit:
            self._start_thread()
        self._calls.put(lambda: _perform(work, done))
        return done

    async def run(self, work: Callable[[], T]) -> T:
        """Cancelling the caller cancels the future of `submit`."""
        return await self.submit(work)

    async def close(self, seconds: float) -> None:
        """Wait at most `seconds` for calls in flight. May be called twice."""
        for _ in self._threads:
            self._calls.put(None)
        threads, self._threads = self._threads, []
        await asyncio.to_thread(_join, threads, seconds)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            self._idle.release()


def _perform(work: Callable[[], T], done: "asyncio.Future[T]") -> None:
    if done.cancelled():
        return
    try:
        result = work()
    except BaseException as error:  # it belongs to the caller, who gets it
        _settle(done, done.set_exception, error)
    else:
        _settle(done, done.set_result, result)


def _settle(done: "asyncio.Future[Any]", end: Callable[[Any], None], outcome: object) -> None:
    def settle() -> None:
        if not done.done():
            end(outcome)

    with suppress(RuntimeError):  # the loop is closed: nobody waits for the outcome
        done.get_loop().call_soon_threadsafe(settle)


def _join(threads: list[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
