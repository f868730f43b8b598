"""A thread of its own for a client that blocks.

It is a daemon, unlike the threads of `concurrent.futures`: closing a consumer while its broker hangs never returns, and
must not keep the process from ending.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class ClientThread:
    """Runs calls one after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """What the call answers or raises. If the caller is cancelled, the call is made all the same."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:
                tell(loop, _settle_with_error, answer, error)
            else:
                tell(loop, _settle, answer, result)

        self._calls.put(work)
        return await answer

    async def stop(self, last: Callable[[], object], seconds: float) -> None:
        """Make a last call. If it takes longer than `seconds`, leave it to itself."""
        try:
            async with asyncio.timeout(seconds):
                await self.run(last)
        except TimeoutError:
            pass
        finally:
            self.end()

    def end(self) -> None:
        """After the calls that wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            work()


async def on_thread(call: Callable[[], T]) -> T:
    """A single call."""
    thread = ClientThread("kafka-admin")
    thread.start()
    try:
        return await thread.run(call)
    finally:
        thread.end()


def tell(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """Call it in the loop, from another thread; if the loop has been closed meanwhile, nobody waits any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *arguments)


def _settle(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _settle_with_error(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
