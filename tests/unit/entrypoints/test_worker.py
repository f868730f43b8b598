"""The parts of one process: they run and stop together."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from application.errors import WrongLog
from application.ports.provisioning import ProbeResult
from contracts.waiting import eventually
from entrypoints import worker
from entrypoints.worker import FailureProbe, PartEnded, endless, run_parts, stop_on_signals


async def until_asked(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def test_the_parts_run_until_they_are_asked_to_stop() -> None:
    stopping = asyncio.Event()
    running = asyncio.create_task(run_parts({"a": until_asked, "b": until_asked}, stopping))
    await asyncio.sleep(0)
    assert not running.done()
    stopping.set()
    await asyncio.wait_for(running, 2)


async def test_a_part_that_fails_stops_the_others() -> None:
    ended = []

    async def other(stopping: asyncio.Event) -> None:
        await stopping.wait()
        ended.append("other")

    async def dying(_: asyncio.Event) -> None:
        raise WrongLog("The read database belongs to another log.")

    with pytest.raises(WrongLog, match="another log"):
        await asyncio.wait_for(run_parts({"other": other, "dying": dying}, asyncio.Event()), 2)
    assert ended == ["other"]


async def test_a_part_that_returns_is_a_failure_too() -> None:
    async def ending(_: asyncio.Event) -> None:
        return

    with pytest.raises(PartEnded, match="The projector ended without being asked to"):
        await asyncio.wait_for(run_parts({"projector": ending, "http": until_asked}, asyncio.Event()), 2)


async def test_a_part_that_does_not_stop_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_an_endless_part_is_cancelled_at_the_stop_and_its_error_is_raised() -> None:
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


async def test_an_unexpected_error_is_logged_with_its_traceback_and_the_part_restarts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "RESTART_SECONDS", 0.001)
    stopping, times = asyncio.Event(), 0

    async def failing_twice() -> None:
        nonlocal times
        times += 1
        if times < 3:
            raise AttributeError("'RawBSONDocument' object has no attribute 'update'")
        stopping.set()
        await asyncio.Event().wait()

    await asyncio.wait_for(endless(failing_twice)(stopping), 2)
    assert times == 3
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert "because of a bug in Postlog" in caplog.text


async def test_a_projector_of_another_log_does_not_stop_the_others_and_readiness_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "RESTART_SECONDS", 0.2)
    failure, times = FailureProbe("projector"), 0
    is_fixed = asyncio.Event()

    async def projector() -> None:
        nonlocal times
        times += 1
        if not is_fixed.is_set():
            raise WrongLog("The read database belongs to another log.")
        await asyncio.Event().wait()

    async def failed_again() -> bool:
        return times >= 3

    async def is_well() -> bool:
        return (await failure.probe()).ok

    stopping = asyncio.Event()
    assert await is_well()
    running = asyncio.create_task(run_parts({"http": until_asked, "projector": endless(projector, failure)}, stopping))
    await eventually(failed_again)
    assert await failure.probe() == ProbeResult("projector", False, "The read database belongs to another log.")
    is_fixed.set()
    await eventually(is_well)
    assert not running.done()
    assert len(caplog.records) == 1, "told once"
    stopping.set()
    await asyncio.wait_for(running, 2)


async def test_why_a_part_ended_is_logged_before_anything_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    logged: list[str] = []

    async def other(stopping: asyncio.Event) -> None:
        await stopping.wait()
        logged.append(caplog.text)

    async def dying(_: asyncio.Event) -> None:
        raise WrongLog("The read database belongs to another log.")

    with pytest.raises(WrongLog):
        await asyncio.wait_for(run_parts({"other": other, "dying": dying}, asyncio.Event()), 2)
    assert "the dying ended, so this process stops: The read database belongs to another log." in logged[0]


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
