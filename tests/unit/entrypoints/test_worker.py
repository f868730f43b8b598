"""The parts of one process: they live and end together."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from application.errors import WrongLog
from entrypoints import worker
from entrypoints.worker import PartEnded, endless, run_parts, stop_on_signals


async def until_asked(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def test_the_parts_run_until_they_are_asked_to_stop() -> None:
    stopping = asyncio.Event()
    running = asyncio.create_task(run_parts({"a": until_asked, "b": until_asked}, stopping))
    await asyncio.sleep(0)
    assert not running.done()
    stopping.set()
    await asyncio.wait_for(running, 2)


async def test_a_part_that_dies_takes_the_others_with_it() -> None:
    ended = []

    async def other(stopping: asyncio.Event) -> None:
        await stopping.wait()
        ended.append("other")

    async def dying(_: asyncio.Event) -> None:
        raise WrongLog("The read database belongs to another log.")

    with pytest.raises(WrongLog, match="another log"):
        await asyncio.wait_for(run_parts({"other": other, "dying": dying}, asyncio.Event()), 2)
    assert ended == ["other"]


async def test_a_part_that_just_ends_is_a_failure_too() -> None:
    async def ending(_: asyncio.Event) -> None:
        return

    with pytest.raises(PartEnded, match="The projector ended though nothing had asked it to"):
        await asyncio.wait_for(run_parts({"projector": ending, "http": until_asked}, asyncio.Event()), 2)


async def test_a_part_that_does_not_listen_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "GRACE_SECONDS", 0.01)
    stopping = asyncio.Event()
    stopping.set()
    cancelled = asyncio.Event()

    async def deaf(_: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await asyncio.wait_for(run_parts({"deaf": deaf}, stopping), 2)
    assert cancelled.is_set()


async def test_something_endless_is_cancelled_when_the_service_stops_and_raises_what_it_raises() -> None:
    cancelled = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def failing() -> None:
        raise WrongLog("no")

    stopping = asyncio.Event()
    part = asyncio.create_task(endless(forever)(stopping))
    await asyncio.sleep(0)
    stopping.set()
    await asyncio.wait_for(part, 2)
    assert cancelled.is_set()
    with pytest.raises(WrongLog):
        await endless(failing)(asyncio.Event())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    with stop_on_signals() as stopping:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stopping.wait(), 2)


_STUBBORN = """
import asyncio, time
from entrypoints.worker import stop_on_signals
async def main():
    with stop_on_signals() as stopping:
        print("ready", flush=True)
        await stopping.wait()
        print("asked", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def test_a_second_signal_ends_the_process_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 130
        assert time.monotonic() - started < 2
