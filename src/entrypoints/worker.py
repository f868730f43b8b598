"""One process, one loop: its parts run side by side until a signal comes or one of them ends."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

GRACE_SECONDS = 11.0
"""How long a part may take to stop by itself, before it is cancelled. What has nothing under way stops at once; this is
for requests that are being answered."""

FORCED = 130

Part = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Is handed the event that says: stop. It ends soon after the event is set, and never before."""

logger = logging.getLogger(__name__)


class PartEnded(Exception):
    """A part of the service ended though nobody asked it to."""


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


def endless(run: Callable[[], Coroutine[Any, Any, None]]) -> Part:
    """A part out of something that runs until it is cancelled."""

    async def part(stopping: asyncio.Event) -> None:
        running = asyncio.ensure_future(run())
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


async def run_parts(parts: Mapping[str, Part], stopping: asyncio.Event) -> None:
    """Until `stopping` is set. A part that ends earlier takes the others with it: a service does not go on half-dead.
    Raises what the part raised, or `PartEnded`."""
    tasks = [asyncio.create_task(part(stopping), name=name) for name, part in parts.items()]
    asked = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([*tasks, asked], return_when=asyncio.FIRST_COMPLETED)
        ended = None if stopping.is_set() else next(task for task in tasks if task.done())
    finally:
        stopping.set()
        asked.cancel()
        await _wait_for_end(tasks)
    _tell_failures(task for task in tasks if task is not ended)
    if ended is not None:
        _raise_for(ended)


async def _wait_for_end(tasks: list[asyncio.Task[None]]) -> None:
    _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in late:
        logger.warning("%s did not stop within %g s and is cancelled", task.get_name(), GRACE_SECONDS)
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=GRACE_SECONDS)


def _tell_failures(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            logger.info("%s ended with %s: %s", task.get_name(), type(error).__name__, error)


def _raise_for(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        raise error
    raise PartEnded(f"The {task.get_name()} ended though nothing had asked it to, so the whole service stops.")
