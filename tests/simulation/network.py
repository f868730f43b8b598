"""Calls of simulated servers: a request, which takes effect at one moment of the virtual time, and an answer.

A server works on, whatever becomes of the caller. Between request and answer anything may go wrong that can go wrong
between two machines.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from simulation.faults import BUS, LOG, READ_DB, Faults
from simulation.virtual_loop import SERVER_CONTEXT

T = TypeVar("T")

_ERROR_SECONDS = (0.0, 0.01, 0.5, 3.0)
"""After which a caller gives up a call that has no answer."""

_LATE_SECONDS = 2.0

LONGEST_CALL_SECONDS = _ERROR_SECONDS[-1] + _LATE_SECONDS
"""So long after the faults are over, a call that met one may still be under way."""


@dataclass(slots=True)
class Server:
    """`epoch` grows when all its connections are lost."""

    name: str
    epoch: int = 0
    away_until: float = 0.0


@dataclass(slots=True)
class Call:
    """`refused`: the reason why it had no effect. `unknown`: the caller does not learn the outcome. `late`: it takes
    effect so many seconds after the error."""

    there: float
    back: float
    refused: str | None = None
    unknown: bool = False
    late: float | None = None
    error_after: float = 0.0


def now_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: the adapters in memory have only such."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("it waits for something")


@dataclass(slots=True)
class Network:
    """Without `faults` every call takes effect at once and is answered."""

    random: Random
    faults: Faults | None = None
    servers: dict[str, Server] = field(default_factory=lambda: {name: Server(name) for name in (LOG, READ_DB, BUS)})

    def call(
        self, server: str, operation: Callable[[], T], error: Callable[[str], Exception], *, writes: bool = False
    ) -> asyncio.Future[T]:
        """What the operation returns or raises; an `error` when the server can't be reached, or does not answer."""
        return self.send(server, operation, error, self.plan(server, writes=writes))

    def send(
        self, server: str, operation: Callable[[], T], error: Callable[[str], Exception], call: Call
    ) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        delivery = _Delivery(loop, self.servers[server], operation, error, call)
        if call.late is not None:
            loop.call_later(call.there, delivery.fail, "No answer came in time.", context=SERVER_CONTEXT)
            loop.call_later(call.there + call.late, _quietly, operation, context=SERVER_CONTEXT)
        else:
            loop.call_later(call.there, delivery.arrive, context=SERVER_CONTEXT)
        return delivery.answer

    def plan(self, server: str, *, writes: bool) -> Call:
        if self.faults is None:
            return Call(0.0, 0.0)
        random = self.random
        call = Call(random.uniform(0.0001, 0.003), random.uniform(0.0001, 0.003))
        now, happens = asyncio.get_running_loop().time(), self.faults.happens
        if now < self.servers[server].away_until:
            call.refused = "It does not accept connections."
        if not self.faults.any_now(server, now):
            return call
        self._spoil(call, server, now, writes=writes)
        if happens("acknowledged late", server, now):
            call.back += random.choice((0.01, 0.2, 2.0))
        return call

    def _spoil(self, call: Call, server: str, now: float, *, writes: bool) -> None:
        assert self.faults is not None
        random, happens = self.random, self.faults.happens
        if happens("server away", server, now):
            call.refused, call.there = "It can't be reached.", random.choice((0.0, 0.001, 0.5))
        elif happens("request lost", server, now):
            call.refused, call.there = "No answer came.", random.choice(_ERROR_SECONDS)
        elif writes and happens("disk full", server, now):
            call.refused = "The disk is full."
        elif writes and happens("transaction refused", server, now):
            call.refused = "The transaction was refused."
        elif writes and happens("takes effect after the error", server, now):
            call.there, call.late = random.choice(_ERROR_SECONDS), random.uniform(0.0, _LATE_SECONDS)
        elif happens("answer lost", server, now):
            call.unknown, call.error_after = True, random.choice(_ERROR_SECONDS)

    def happens(self, kind: str, server: str) -> bool:
        if self.faults is None:
            return False
        return self.faults.happens(kind, server, asyncio.get_running_loop().time())

    def cut(self, server: str, away_seconds: float = 0.0) -> None:
        """All its connections are lost: what is on the way there has no effect, what is on the way back is unknown."""
        self.servers[server].epoch += 1
        self.servers[server].away_until = asyncio.get_running_loop().time() + away_seconds


class _Delivery:
    """One call on its way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        server: Server,
        operation: Callable[[], Any],
        error: Callable[[str], Exception],
        call: Call,
    ) -> None:
        self.answer: asyncio.Future[Any] = loop.create_future()
        self._loop = loop
        self._server = server
        self._epoch = server.epoch
        self._operation = operation
        self._error = error
        self._call = call

    def fail(self, reason: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(self._error(reason))

    def arrive(self) -> None:
        call = self._call
        if call.refused is not None or self._epoch != self._server.epoch:
            self.fail(call.refused or "The connection was lost.")
            return
        result, raised = None, None
        try:
            result = self._operation()
        except Exception as error:
            raised = error
        if call.unknown:
            self._loop.call_later(call.error_after, self.fail, "No answer came.", context=SERVER_CONTEXT)
        else:
            self._loop.call_later(call.back, self._respond, result, raised, context=SERVER_CONTEXT)

    def _respond(self, result: Any, raised: Exception | None) -> None:
        if self._epoch != self._server.epoch:
            self.fail("The connection was lost.")
        elif not self.answer.done():
            if raised is not None:
                self.answer.set_exception(raised)
            else:
                self.answer.set_result(result)


def _quietly(operation: Callable[[], object]) -> None:
    try:
        operation()
    except Exception:
        return  # nobody learns of it
