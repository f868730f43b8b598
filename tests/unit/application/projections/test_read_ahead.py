"""Reading ahead pays for pages in the middle of a log, not at its end, and leaves no read behind."""

import asyncio

import pytest

from application.envelopes import CommitEvents, StoredEvent
from application.projections.read_ahead import ReadAhead, is_worth_reading_ahead
from given import POST

LIKED = StoredEvent("PostLiked", 2, {"username": None})


def page(commits: int, events: int) -> list[CommitEvents]:
    return [CommitEvents(number, POST, 1, f"commit-{number}", (LIKED,) * events) for number in range(commits)]


@pytest.mark.parametrize(
    ("commits", "events", "worth"),
    [(0, 0, False), (1, 1, False), (99, 5, False), (100, 1, True), (1, 499, False), (1, 500, True), (50, 10, True)],
)
def test_a_page_of_few_commits_probably_ended_at_the_logs_end(commits: int, events: int, worth: bool) -> None:
    assert is_worth_reading_ahead(page(commits, events), limit=100) is worth


async def test_each_read_that_was_begun_has_one_result() -> None:
    async with ReadAhead[int]() as ahead:
        for number in (1, 2):
            ahead.begin(asyncio.sleep(0, number))
            assert await ahead.result() == number
        with pytest.raises(RuntimeError, match=r"^No read was begun\.$"):
            await ahead.result()


async def test_a_failed_read_raises_its_error_once_and_another_may_begin() -> None:
    async def fail() -> int:
        raise OSError("The disk is gone.")

    async with ReadAhead[int]() as ahead:
        ahead.begin(fail())
        with pytest.raises(OSError, match="The disk is gone"):
            await ahead.result()
        ahead.begin(asyncio.sleep(0, 2))
        assert await ahead.result() == 2


async def test_a_read_in_flight_has_been_cancelled_when_the_block_ends() -> None:
    ended = []

    async def read() -> int:
        try:
            return await asyncio.sleep(3_600, 1)
        finally:
            await asyncio.sleep(0)
            ended.append("read")

    async with ReadAhead[int]() as ahead:
        ahead.begin(read())
        await asyncio.sleep(0)
    assert ended == ["read"]
