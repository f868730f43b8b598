"""Look-ups that wait while one is under way go together in the next."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from adapters.sql.batched_lookup import BatchedLookup


class Database:
    """Answers when it is let; `groups` are the look-ups that it was asked for, in order."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.gates: list[asyncio.Future[None]] = []
        self.value = 0

    async def look_up(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.groups.append(list(keys))
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        seen = self.value
        await gate
        return {key: f"{key}{seen}" for key in keys}


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def grouped(database: Database) -> BatchedLookup[str, str]:
    return BatchedLookup(database.look_up)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_lone_look_up_goes_at_once(database: Database, grouped: BatchedLookup[str, str]) -> None:
    asked = asyncio.create_task(grouped.get("a"))
    await turns()
    assert database.groups == [["a"]]
    database.gates[0].set_result(None)
    assert await asked == "a0"


async def test_those_who_wait_go_together_each_key_once(database: Database, grouped: BatchedLookup[str, str]) -> None:
    first = asyncio.create_task(grouped.get("a"))
    await turns()
    rest = [asyncio.create_task(grouped.get(key)) for key in "bcbcb"]
    await turns()
    assert database.groups == [["a"]]
    database.gates[0].set_result(None)
    await turns()
    assert database.groups == [["a"], ["b", "c"]]
    database.gates[1].set_result(None)
    assert await asyncio.gather(first, *rest) == ["a0", "b0", "c0", "b0", "c0", "b0"]


async def test_nobody_is_answered_with_what_was_read_before_the_question(
    database: Database, grouped: BatchedLookup[str, str]
) -> None:
    before = asyncio.create_task(grouped.get("a"))
    await turns()
    database.value = 1
    after = asyncio.create_task(grouped.get("a"))
    await turns()
    database.gates[0].set_result(None)
    await turns()
    database.gates[1].set_result(None)
    assert (await before, await after) == ("a0", "a1")


async def test_a_group_has_at_most_64_keys(database: Database, grouped: BatchedLookup[str, str]) -> None:
    asked = [asyncio.create_task(grouped.get(f"{number:03}")) for number in range(100)]
    await turns()
    database.gates[0].set_result(None)
    await turns()
    database.gates[1].set_result(None)
    await asyncio.gather(*asked)
    assert [len(group) for group in database.groups] == [64, 36]


async def test_a_slow_group_does_not_hold_up_the_next(database: Database, grouped: BatchedLookup[str, str]) -> None:
    slow = asyncio.create_task(grouped.get("a"))
    await turns()
    quick = asyncio.create_task(grouped.get("b"))
    async with asyncio.timeout(5):
        while len(database.groups) < 2:
            await asyncio.sleep(0.001)
    database.gates[1].set_result(None)
    assert await quick == "b0"
    database.gates[0].set_result(None)
    assert await slow == "a0"


async def test_an_error_reaches_all_of_its_group_and_no_other(
    database: Database, grouped: BatchedLookup[str, str]
) -> None:
    first = asyncio.create_task(grouped.get("a"))
    await turns()
    rest = [asyncio.create_task(grouped.get(key)) for key in "bc"]
    database.gates[0].set_result(None)
    await turns()
    database.gates[1].set_exception(ConnectionError("gone"))
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert results[0] == "a0"
    assert [str(error) for error in results[1:]] == ["gone", "gone"]
    again = asyncio.create_task(grouped.get("a"))
    await turns()
    database.gates[2].set_result(None)
    assert await again == "a0"


async def test_a_caller_who_leaves_does_not_disturb_the_others(
    database: Database, grouped: BatchedLookup[str, str]
) -> None:
    leaving, staying = asyncio.create_task(grouped.get("a")), asyncio.create_task(grouped.get("a"))
    await turns()
    leaving.cancel()
    database.gates[0].set_result(None)
    assert await staying == "a0"
    with pytest.raises(asyncio.CancelledError):
        await leaving
