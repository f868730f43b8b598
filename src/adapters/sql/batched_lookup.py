"""Lookups that wait while one is in flight are sent together as the next one. A single lookup never waits.

A lookup takes a thread and a round trip to the server; 32 concurrent callers share them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LARGEST_BATCH = 64
_WAIT_SECONDS = 0.02
"""How long the next batch waits for the previous one; a slow one must not delay everybody."""


class BatchedLookup(Generic[K, V]):
    """`look_up` returns a value for each key that it is given. It is called after all of them were requested, so nobody
    gets a value from before the request. Belongs to one event loop."""

    def __init__(self, look_up: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._look_up = look_up
        self._waiting: dict[K, list[asyncio.Future[V]]] = {}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V:
        answer: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[:_LARGEST_BATCH]
                batch = asyncio.create_task(self._perform({key: self._waiting.pop(key) for key in keys}))
                self._in_flight.add(batch)
                batch.add_done_callback(self._in_flight.discard)
                await asyncio.wait([batch], timeout=_WAIT_SECONDS)
        finally:
            self._sender = None

    async def _perform(self, batch: Mapping[K, Sequence[asyncio.Future[V]]]) -> None:
        try:
            answers = await self._look_up(list(batch))
        except asyncio.CancelledError:
            _settle(batch, lambda answer, _: answer.cancel())
            raise
        except Exception as error:  # it belongs to the callers, who get it
            reason = error
            _settle(batch, lambda answer, _: answer.set_exception(reason))
        else:
            _settle(batch, lambda answer, key: answer.set_result(answers[key]))


def _settle(
    batch: Mapping[K, Sequence["asyncio.Future[V]"]], settle: Callable[["asyncio.Future[V]", K], object]
) -> None:
    for key, answers in batch.items():
        for answer in answers:
            if not answer.done():
                settle(answer, key)
