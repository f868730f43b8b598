"""Processes: running a job's coroutine in an event loop of its own, their priority, their garbage collector."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from entrypoints.cli import exit_codes

Main = Callable[[], Coroutine[Any, Any, int]]


_NEW_OBJECTS = 50_000


def relax_gc() -> None:
    """For a process that has started. What exists now stays, and is never searched for cyclic garbage; a search comes
    after 50,000 new objects instead of 700. Hardly anything here has cycles, and a batch of commits has as many objects
    that can't be freed before it is written: searching them again and again took a quarter of a projector's time."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()


def run_job(main: Main) -> int:
    """The status that `main` returns; 130 when a signal interrupts it. `main` is cancelled then, and may clean up."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])  # as for services: an audit reads as many commits
    try:
        return _run(main)
    finally:
        gc.set_threshold(*before)


def _run(main: Main) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_cancelled_by_sigterm(main))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return exit_codes.INTERRUPTED


def lower_priority(niceness: int) -> None:
    """Of this process and those that it starts, so that other work on this machine goes first."""
    if niceness > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)


async def _cancelled_by_sigterm(main: Main) -> int:
    """As by SIGINT, for which `asyncio.Runner` provides."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a running coroutine is in a task)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await main()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
