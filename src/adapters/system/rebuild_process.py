"""Rebuilds in processes of their own. They end with this one, however that ends: each stops when its stdin is closed,
which the kernel does for a process that was killed.
"""

import asyncio
import json
import logging
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

from application.errors import (
    CannotOpen,
    LogDamaged,
    ReadDbUnavailable,
    RebuildCancelled,
    RebuildNotBegun,
    RebuildRunning,
    SchemaOutdated,
    StoreUnavailable,
    WrongLog,
)
from domain.errors import PostlogError

_SECONDS_TO_BEGIN = 30.0
_SECONDS_TO_END = 0.5
"""A rebuild can be killed at any moment, and be gone on with."""

_ERRORS: dict[str, type[PostlogError]] = {
    error.code: error
    for error in (CannotOpen, LogDamaged, ReadDbUnavailable, SchemaOutdated, StoreUnavailable, WrongLog)
}

logger = logging.getLogger(__name__)


class SystemRebuildProcess:
    """Used by `async with`; all end when the block ends. `command` is a program that is handed the line of
    `input_for(adapter)` on stdin and answers on stdout with a line of JSON: `{"generation": 3}` when it has begun, and
    `{"error": {"code", "message", "generation"}}` when something stops it.
    """

    def __init__(self, command: Sequence[str], input_for: Callable[[str], bytes]) -> None:
        self._command = tuple(command)
        self._input_for = input_for
        self._processes: set[Process] = set()
        self._watching: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(_end(process) for process in self._processes))
        await asyncio.gather(*self._watching)

    async def start(self, adapter: str) -> int:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        self._processes.add(process)
        try:
            async with asyncio.timeout(_SECONDS_TO_BEGIN):
                generation = await _begun(process, self._input_for(adapter))
        except BaseException as error:
            await _end(process)
            self._processes.discard(process)
            if isinstance(error, TimeoutError):
                raise RebuildNotBegun(f"The rebuild did not begin within {_SECONDS_TO_BEGIN:g} seconds.") from error
            raise
        watching = asyncio.create_task(self._watch(process, f"the rebuild of {adapter}, generation {generation},"))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return generation

    async def _watch(self, process: Process, which: str) -> None:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        lines = [line async for line in process.stdout]
        status = await process.wait()
        self._processes.discard(process)
        match _error_in(lines[-1]) if lines else None:
            case RebuildCancelled():
                logger.info("%s was cancelled", which)
            case PostlogError() as error:
                logger.warning("%s stopped: %s", which, error.message)
            case None if status:
                logger.warning("%s ended with status %d before it was done", which, status)
            case None:
                logger.info("%s is live", which)


async def _begun(process: Process, line: bytes) -> int:
    assert process.stdin is not None  # noqa: S101 (they are pipes)
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError, ConnectionResetError):  # then it has ended, and its stdout says so
        process.stdin.write(line + b"\n")
        await process.stdin.drain()
    said = await process.stdout.readline()
    if error := _error_in(said):
        raise error
    generation: int = json.loads(said)["generation"]
    return generation


async def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_SECONDS_TO_END):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _error_in(line: bytes) -> PostlogError | None:
    if not line:
        return RebuildNotBegun("The process of the rebuild ended before it began; the service's log tells why.")
    said: dict[str, Any] = json.loads(line)
    if "error" not in said:
        return None
    code, message = said["error"]["code"], said["error"]["message"]
    if code == RebuildRunning.code:
        return RebuildRunning(message, generation=said["error"].get("generation"))
    if code == RebuildCancelled.code:
        return RebuildCancelled(message)
    return _ERRORS.get(code, RebuildNotBegun)(message)
