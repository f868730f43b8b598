"""Work of a synchronous driver runs in a bounded pool of daemon threads."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from adapters.threads import DaemonThreadPool
from contracts.waiting import eventually


@pytest.fixture
async def two_threads() -> AsyncIterator[DaemonThreadPool]:
    threads = DaemonThreadPool("test", 2)
    yield threads
    await threads.close(5)


async def test_work_runs_in_a_thread_and_its_result_is_returned(two_threads: DaemonThreadPool) -> None:
    assert await two_threads.run(lambda: threading.current_thread().name) == "test-0"


async def test_an_exception_of_the_work_is_raised(two_threads: DaemonThreadPool) -> None:
    def fail() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await two_threads.run(fail)


async def test_at_most_so_many_run_at_once(two_threads: DaemonThreadPool) -> None:
    together = threading.Barrier(2)
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(5)
        with lock:
            running -= 1
        return threading.current_thread().name

    names = await asyncio.gather(*(two_threads.run(work) for _ in range(8)))
    assert most == 2
    assert set(names) == {"test-0", "test-1"}


async def test_work_of_a_cancelled_caller_is_not_started(two_threads: DaemonThreadPool) -> None:
    go_on = threading.Event()
    done: list[str] = []
    occupied = [asyncio.create_task(two_threads.run(go_on.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(two_threads.run(lambda: done.append("never")))
    await asyncio.sleep(0)
    waiting.cancel()
    go_on.set()
    await asyncio.gather(*occupied)
    await two_threads.run(lambda: done.append("after"))
    assert done == ["after"]


async def test_work_that_has_started_is_finished_though_its_caller_was_cancelled(two_threads: DaemonThreadPool) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(5)
        ended.set()

    caller = asyncio.create_task(two_threads.run(work))
    await eventually(_is_set(begun))
    caller.cancel()
    go_on.set()
    await eventually(_is_set(ended))
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_closing_waits_for_calls_in_flight_but_not_indefinitely() -> None:
    threads = DaemonThreadPool("test", 1)
    go_on = threading.Event()
    hanging = asyncio.create_task(threads.run(go_on.wait))
    await asyncio.sleep(0)
    started = time.monotonic()
    await threads.close(0.05)
    assert time.monotonic() - started < 1
    go_on.set()
    assert await hanging


def test_a_call_that_hangs_does_not_keep_a_process_from_ending() -> None:
    source = Path(__file__).parents[3] / "src"
    script = (
        "import asyncio, sys, threading\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from adapters.threads import DaemonThreadPool\n"
        "async def main():\n"
        "    threads = DaemonThreadPool('test', 1)\n"
        "    task = asyncio.create_task(threads.run(threading.Event().wait))\n"
        "    await asyncio.sleep(0.01)\n"
        "    await threads.close(0.01)\n"
        "    task.cancel()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(source)], check=True, timeout=20)


def test_a_result_after_the_loop_was_closed_is_no_error() -> None:
    """pytest turns an exception in a thread into a failure."""
    threads, go_on = DaemonThreadPool("test-late", 1), threading.Event()

    async def leave_it() -> threading.Thread:
        waiting = asyncio.create_task(threads.run(go_on.wait))
        await asyncio.sleep(0)
        [thread] = [each for each in threading.enumerate() if each.name.startswith("test-late")]
        await threads.close(0.01)
        waiting.cancel()
        return thread

    late = asyncio.run(leave_it())
    go_on.set()
    late.join(10)
    assert not late.is_alive()


def _is_set(event: threading.Event) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return event.is_set()

    return ask
