"""A bounded pool of threads for a synchronous driver.

They are daemons, so a call that hangs in a server that froze does not keep the process from ending.
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
    """At most `limit` calls run at once; others wait in the order in which they came. `run` and `close` belong to one
    event loop."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    async def run(self, work: Callable[[], T]) -> T:
        """A cancelled caller does not end work that has begun; its outcome is dropped."""
        return await self.submit(work)

    def submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """As `run`, but the work is queued when this returns. Cancelling the future drops work that has not begun."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._limit:
            self._start_thread()
        self._calls.put(lambda: _perform(work, done))
        return done

    async def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for what is under way. Closing twice is no fault."""
        for _ in self._threads:
            self._calls.put(None)
        threads, self._threads = self._threads, []
        await asyncio.to_thread(_join, threads, patience)

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
        _tell(done, done.set_exception, error)
    else:
        _tell(done, done.set_result, result)


def _tell(done: "asyncio.Future[Any]", end: Callable[[Any], None], outcome: object) -> None:
    def settle() -> None:
        if not done.done():
            end(outcome)

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        done.get_loop().call_soon_threadsafe(settle)


def _join(threads: list[threading.Thread], patience: float) -> None:
    until = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
