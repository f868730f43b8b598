"""`SharedTimeout` does what `asyncio.timeout` does, for many tasks with one timer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from application.shared_timeout import SharedTimeout

SECONDS = 0.03


async def of_asyncio(work: Callable[[], Any]) -> Any:
    async with asyncio.timeout(SECONDS):
        return await work()


async def of_postlog(work: Callable[[], Any]) -> Any:
    with SharedTimeout(SECONDS).limit():
        return await work()


async def ends_in_time() -> str:
    await asyncio.sleep(0)
    return "done"


async def lasts_too_long() -> None:
    await asyncio.sleep(10)


async def fails() -> None:
    raise ValueError("its own")


async def fails_when_cancelled() -> None:
    try:
        await asyncio.sleep(10)
    finally:
        raise ValueError("while it was cancelled")


async def has_a_shorter_limit_inside() -> None:
    async with asyncio.timeout(SECONDS / 10):
        await asyncio.sleep(10)


@pytest.mark.parametrize(
    "work", [ends_in_time, lasts_too_long, fails, fails_when_cancelled, has_a_shorter_limit_inside]
)
async def test_a_block_ends_as_with_asyncio(work: Callable[[], Any]) -> None:
    ends = [await asyncio.gather(limited(work), return_exceptions=True) for limited in (of_asyncio, of_postlog)]
    [[theirs], [ours]] = ends
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


@pytest.mark.parametrize("limited", [of_asyncio, of_postlog])
async def test_a_cancellation_from_elsewhere_stays_one(limited: Callable[[Callable[[], Any]], Any]) -> None:
    task = asyncio.ensure_future(limited(lasts_too_long))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_many_limits_share_a_timer_and_each_ends_at_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    timeout, loop = SharedTimeout(0.1), asyncio.get_running_loop()
    ended: list[tuple[int, float]] = []
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, callback: Callable[[], None], *args: Any, **named: Any) -> asyncio.TimerHandle:
        if getattr(callback, "__self__", None) is timeout:
            timers.append(when)
        return call_at(when, callback, *args, **named)

    monkeypatch.setattr(loop, "call_at", counted)

    async def limited(number: int, seconds: float) -> None:
        started = loop.time()
        try:
            with timeout.limit():
                await asyncio.sleep(seconds)
        except TimeoutError:
            ended.append((number, loop.time() - started))

    tasks = [asyncio.create_task(limited(number, 0.0)) for number in range(100)]
    tasks.append(asyncio.create_task(limited(100, 10.0)))
    await asyncio.sleep(0.05)
    tasks.append(asyncio.create_task(limited(101, 10.0)))
    await asyncio.gather(*tasks)
    assert [number for number, _ in ended] == [100, 101]
    assert all(0.1 <= seconds < 1.0 for _, seconds in ended)
    assert len(timers) <= 3
