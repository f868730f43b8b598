"""Lookups that wait while one is in flight are sent together as the next one."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from adapters.sql.batched_lookup import BatchedLookup


class Database:
    """Returns when its gate opens; `batches` are the lookups that it received, in order."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gates: list[asyncio.Future[None]] = []
        self.value = 0

    async def look_up(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.batches.append(list(keys))
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        seen = self.value
        await gate
        return {key: f"{key}{seen}" for key in keys}


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def lookup(database: Database) -> BatchedLookup[str, str]:
    return BatchedLookup(database.look_up)


async def let_tasks_run(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_single_lookup_is_sent_at_once(database: Database, lookup: BatchedLookup[str, str]) -> None:
    asked = asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    assert database.batches == [["a"]]
    database.gates[0].set_result(None)
    assert await asked == "a0"


async def test_waiting_lookups_are_sent_together_each_key_once(
    database: Database, lookup: BatchedLookup[str, str]
) -> None:
    first = asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    rest = [asyncio.create_task(lookup.get(key)) for key in "bcbcb"]
    await let_tasks_run()
    assert database.batches == [["a"]]
    database.gates[0].set_result(None)
    await let_tasks_run()
    assert database.batches == [["a"], ["b", "c"]]
    database.gates[1].set_result(None)
    assert await asyncio.gather(first, *rest) == ["a0", "b0", "c0", "b0", "c0", "b0"]


async def test_no_caller_gets_a_value_that_was_read_before_its_request(
    database: Database, lookup: BatchedLookup[str, str]
) -> None:
    before = asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    database.value = 1
    after = asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    database.gates[0].set_result(None)
    await let_tasks_run()
    database.gates[1].set_result(None)
    assert (await before, await after) == ("a0", "a1")


async def test_a_batch_has_at_most_64_keys(database: Database, lookup: BatchedLookup[str, str]) -> None:
    asked = [asyncio.create_task(lookup.get(f"{number:03}")) for number in range(100)]
    await let_tasks_run()
    database.gates[0].set_result(None)
    await let_tasks_run()
    database.gates[1].set_result(None)
    await asyncio.gather(*asked)
    assert [len(batch) for batch in database.batches] == [64, 36]


async def test_a_slow_batch_does_not_delay_the_next(database: Database, lookup: BatchedLookup[str, str]) -> None:
    slow = asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    quick = asyncio.create_task(lookup.get("b"))
    async with asyncio.timeout(5):
        while len(database.batches) < 2:
            await asyncio.sleep(0.001)
    database.gates[1].set_result(None)
    assert await quick == "b0"
    database.gates[0].set_result(None)
    assert await slow == "a0"


async def test_an_error_reaches_all_callers_of_its_batch_and_no_others(
    database: Database, lookup: BatchedLookup[str, str]
) -> None:
    first = asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    rest = [asyncio.create_task(lookup.get(key)) for key in "bc"]
    database.gates[0].set_result(None)
    await let_tasks_run()
    database.gates[1].set_exception(ConnectionError("gone"))
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert results[0] == "a0"
    assert [str(error) for error in results[1:]] == ["gone", "gone"]
    again = asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    database.gates[2].set_result(None)
    assert await again == "a0"


async def test_a_cancelled_caller_does_not_affect_the_others(
    database: Database, lookup: BatchedLookup[str, str]
) -> None:
    leaving, staying = asyncio.create_task(lookup.get("a")), asyncio.create_task(lookup.get("a"))
    await let_tasks_run()
    leaving.cancel()
    database.gates[0].set_result(None)
    assert await staying == "a0"
    with pytest.raises(asyncio.CancelledError):
        await leaving
