"""Reading ahead: one read is in flight while the caller does something else."""

import asyncio

import pytest

from application.projections.read_ahead import ReadAhead


async def test_a_read_runs_before_its_result_is_requested():
    begun = asyncio.Event()

    async def read() -> int:
        begun.set()
        return 7

    async with ReadAhead[int]() as ahead:
        ahead.begin(read())
        await begun.wait()
        assert await ahead.result() == 7


async def test_an_error_of_a_read_is_raised_when_its_result_is_requested():
    async def read() -> int:
        raise ValueError("away")

    async with ReadAhead[int]() as ahead:
        ahead.begin(read())
        with pytest.raises(ValueError, match="away"):
            await ahead.result()


async def test_a_read_in_flight_is_cancelled_before_the_block_ends():
    ended: list[str] = []

    async def read() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("given up")
        return 7

    async with ReadAhead[int]() as ahead:
        ahead.begin(read())
        await asyncio.sleep(0)
    assert ended == ["given up"]


async def test_there_is_no_result_without_a_read():
    with pytest.raises(RuntimeError):
        await ReadAhead[int]().result()
