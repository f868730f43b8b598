"""Look-ups that wait while one is under way go together in the next. A lone look-up never waits.

A look-up takes a thread and a way to the server and back; 32 callers at once share them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LARGEST_GROUP = 64
_PATIENCE = 0.02
"""How many seconds the next group waits for the one before; a slow one must not hold up everybody."""


class BatchedLookup(Generic[K, V]):
    """`look_up` answers each key that it is given; it is called after all of them were asked for, so nobody is answered
    with what was true before the question. Belongs to one event loop."""

    def __init__(self, look_up: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._look_up = look_up
        self._waiting: dict[K, list[asyncio.Future[V]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
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
                keys = list(self._waiting)[:_LARGEST_GROUP]
                group = asyncio.create_task(self._answer({key: self._waiting.pop(key) for key in keys}))
                self._under_way.add(group)
                group.add_done_callback(self._under_way.discard)
                await asyncio.wait([group], timeout=_PATIENCE)
        finally:
            self._sender = None

    async def _answer(self, group: Mapping[K, Sequence[asyncio.Future[V]]]) -> None:
        try:
            answers = await self._look_up(list(group))
        except asyncio.CancelledError:
            _settle(group, lambda answer, _: answer.cancel())
            raise
        except Exception as error:  # it belongs to those who asked, who get it
            reason = error
            _settle(group, lambda answer, _: answer.set_exception(reason))
        else:
            _settle(group, lambda answer, key: answer.set_result(answers[key]))


def _settle(
    group: Mapping[K, Sequence["asyncio.Future[V]"]], settle: Callable[["asyncio.Future[V]", K], object]
) -> None:
    for key, answers in group.items():
        for answer in answers:
            if not answer.done():
                settle(answer, key)
