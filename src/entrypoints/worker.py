"""The parts of one process of the service: they run in one event loop until a signal arrives or one of them ends."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from application.errors import CannotOpen, WrongLog
from application.ports.provisioning import ProbeResult
from domain.errors import PostlogError

GRACE_SECONDS = 11.0
"""How long a part may take to stop before it is cancelled. Idle parts stop at once; the time is for requests in
flight."""

RESTART_SECONDS = 5.0
"""Pause before a failed part is started again."""

FORCED = 130

Part = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Receives the event that asks it to stop. It ends soon after the event is set, and never before."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRoles:
    """What one process does. One that serves neither commands nor queries is a worker: it serves its health and metrics
    only."""

    commands: bool = False
    queries: bool = False
    projector: bool = False
    relay: bool = False
    auditor: bool = False


class PartEnded(Exception):
    """A part of the service ended without being asked to."""


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """The event is set by the first SIGINT or SIGTERM; a second one ends the process at once. Needs a running loop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            os._exit(FORCED)
        logger.info("stopping (%s)", signal.Signals(number).name)
        stopping.set()

    handled = (signal.SIGINT, signal.SIGTERM)
    for number in handled:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stopping
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


class FailureProbe:
    """The last failure of a part that is restarted after failures, because its process has other work to do. As a
    probe it fails while the part does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._sentence = ""
        self._at: float | None = None

    def record(self, sentence: str) -> bool:
        """Whether it differs from the last failure."""
        is_new = sentence != self._sentence or self._at is None
        self._sentence, self._at = sentence, time.monotonic()
        return is_new

    async def probe(self) -> ProbeResult:
        if self._at is not None and time.monotonic() - self._at < 3 * RESTART_SECONDS:
            return ProbeResult(self.name, ok=False, detail=self._sentence)
        self._at = None
        return ProbeResult(self.name, ok=True, detail="It works.")


def endless(run: Callable[[], Coroutine[Any, Any, None]], failure: FailureProbe | None = None) -> Part:
    """A part that runs `run` until it is cancelled, and restarts it when it fails. Without a `failure` to record it in,
    `WrongLog` ends the part and so the process, which has nothing else to do."""

    async def part(stopping: asyncio.Event) -> None:
        running = asyncio.ensure_future(_restarting(run, failure))
        asked = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            for task in (running, asked):
                task.cancel()
            await asyncio.gather(running, asked, return_exceptions=True)

    return part


async def _restarting(run: Callable[[], Coroutine[Any, Any, None]], failure: FailureProbe | None) -> None:
    while True:
        try:
            return await run()
        except WrongLog as error:
            if failure is None:
                raise
            if failure.record(error.message):
                logger.warning("the %s stopped, retrying every %g s: %s", failure.name, RESTART_SECONDS, error.message)
        except Exception:
            name = getattr(run, "__qualname__", "a part of this process")
            logger.exception("%s stopped because of a bug in Postlog, restarting in %g s", name, RESTART_SECONDS)
            if failure is not None:
                failure.record("It stopped because of a bug in Postlog; the log has the traceback.")
        await asyncio.sleep(RESTART_SECONDS)


async def run_parts(parts: Mapping[str, Part], stopping: asyncio.Event) -> None:
    """Run until `stopping` is set. When a part ends earlier, all others are stopped too, so that no service keeps
    running without one of its parts. Raises the error of that part, or `PartEnded`."""
    tasks = [asyncio.create_task(part(stopping), name=name) for name, part in parts.items()]
    asked = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([*tasks, asked], return_when=asyncio.FIRST_COMPLETED)
        ended = None if stopping.is_set() else next(task for task in tasks if task.done())
        if ended is not None and not _could_not_start(ended):  # closing may take a while
            logger.error("the %s ended, so this process stops: %s", ended.get_name(), _reason(ended))
    finally:
        stopping.set()
        asked.cancel()
        await _wait_for_end(tasks)
    _log_failures(task for task in tasks if task is not ended)
    if ended is not None:
        _raise_for(ended)


def _could_not_start(task: asyncio.Task[None]) -> bool:
    """The command line prints the reason at once."""
    return not task.cancelled() and isinstance(task.exception(), CannotOpen)


async def _wait_for_end(tasks: list[asyncio.Task[None]]) -> None:
    _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in late:
        logger.warning("the %s did not stop within %g s and is cancelled", task.get_name(), GRACE_SECONDS)
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=GRACE_SECONDS)


def _log_failures(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            logger.warning("the %s ended with %s: %s", task.get_name(), type(error).__name__, error)


def _reason(task: asyncio.Task[None]) -> str:
    error = None if task.cancelled() else task.exception()
    if error is None:
        return "it was not asked to"
    return str(error) if isinstance(error, PostlogError) else f"{type(error).__name__}: {error}"


def _raise_for(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        raise error
    raise PartEnded(f"The {task.get_name()} ended without being asked to, so the service stops.")
