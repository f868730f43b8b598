"""A job's or a service's coroutine, run to its end in a loop of its own."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click

from entrypoints.cli import exit_codes
from entrypoints.settings.loading import LoadedSettings
from entrypoints.worker import ProcessRoles

logger = logging.getLogger(__name__)

Main = Callable[[], Coroutine[Any, Any, int]]


def run_job(main: Main) -> int:
    """The status that `main` answers; 130 when a signal interrupted it. It is cancelled then, and may tidy up."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_terminable(main))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return exit_codes.INTERRUPTED


def lower_priority(niceness: int) -> None:
    """Let whoever else has work on this machine go first, before this process and those that it starts."""
    if niceness > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)


def run_service_until_stopped(loaded: LoadedSettings, verb: str, roles: ProcessRoles) -> int:
    """0 when a signal stopped it. Its address goes to stdout once it listens."""
    signal.signal(signal.SIGTERM, _leave)  # until the service listens for signals itself
    gc.disable()  # what is imported at the start is no garbage: looking through it takes a twentieth of the time
    try:
        import uvloop

        from entrypoints.composition.services import run_service

        def announce(address: str) -> None:
            gc.freeze()
            gc.enable()
            pages = f", pages at {address}/" if roles.queries and loaded.settings.web.enabled else ""
            docs = f", API documentation at {address}/docs" if roles.commands or roles.queries else ""
            _announce(f"Postlog ({verb}) listens on {address}{pages}{docs}")

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_service(loaded, verb, roles, announce))
    except KeyboardInterrupt:
        return exit_codes.DONE
    return exit_codes.DONE


def _announce(sentence: str) -> None:
    """A service goes on though nobody reads its stdout any more, or the disk to which it goes is full."""
    try:
        click.echo(sentence)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which takes what is still in the buffer
        logger.warning("stdout takes nothing (%s). %s", error.strerror, sentence)


def _leave(*_: object) -> None:
    sys.exit(exit_codes.DONE)


async def _terminable(main: Main) -> int:
    """SIGINT cancels already; SIGTERM does too from here on."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine that runs is in a task)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await main()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
