"""Queries that wait are woken by the projector of their process."""

import asyncio
import time

from adapters.system.rows_moved import LocalRowsMoved


async def test_notify_wakes_everybody_who_waits() -> None:
    moved = LocalRowsMoved()
    waiting = [asyncio.create_task(moved.wait(30)) for _ in range(3)]
    await asyncio.sleep(0)
    started = time.monotonic()
    moved.notify()
    await asyncio.wait_for(asyncio.gather(*waiting), 2)
    assert time.monotonic() - started < 1


async def test_a_wait_ends_with_its_time() -> None:
    await asyncio.wait_for(LocalRowsMoved().wait(0.01), 2)


async def test_an_old_notification_wakes_nobody() -> None:
    """A waiter looks at the rows first, so only what comes after counts."""
    moved = LocalRowsMoved()
    moved.notify()
    waiting = asyncio.create_task(moved.wait(30))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    moved.notify()
    await asyncio.wait_for(waiting, 2)


async def test_it_remembers_the_last_position_that_was_written() -> None:
    moved = LocalRowsMoved()
    moved.notify()
    assert moved.position is None
    moved.notify(7)
    moved.notify()
    assert moved.position == 7
