import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from adapters.mongo import commit_log
from adapters.mongo.commit_log import MongoCommitLog
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.system.clock_and_ids import SystemClock
from application.errors import LogDamaged
from application.query_side.freshness import LogEnd
from contracts.commit_log import LONG, SOON, CommitLogContract
from contracts.log_handle import POST_A, LogHandle, OpenLog, proposed


@pytest.fixture
async def log_of_two(open_log: OpenLog) -> AsyncIterator[tuple[LogHandle, LogHandle]]:
    """Two processes."""
    async with open_log() as one, open_log() as two:
        yield one, two


class TestMongoCommitLog(CommitLogContract):
    """Adopts the contract with the fixture `open_log`."""


async def test_another_process_s_append_ends_a_wait_by_the_change_stream(
    log_of_two: tuple[LogHandle, LogHandle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "_POLL_SECONDS", LONG)
    mine, theirs = log_of_two
    await theirs.store.append([proposed(POST_A, 1)])
    waiting = asyncio.create_task(mine.commits.wait(after=1, timeout=LONG))
    await asyncio.sleep(0)
    await theirs.store.append([proposed(POST_A, 2)])
    async with asyncio.timeout(SOON):
        await waiting
    assert [commit.position for commit in await mine.commits.read(1)] == [2]


async def test_without_a_change_stream_another_process_s_append_ends_a_wait_within_200_ms(
    log_of_two: tuple[LogHandle, LogHandle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login may lack the right to open one. The polls are 150 ms apart."""
    monkeypatch.setattr(commit_log, "_ONLY_POSITIONS", [{"$noSuchStage": {}}])
    mine, theirs = log_of_two
    assert commit_log._POLL_SECONDS == 0.15
    delays = []
    for version in range(1, 6):
        waiting = asyncio.create_task(mine.commits.wait(after=version - 1, timeout=LONG))
        await asyncio.sleep(0)
        await theirs.store.append([proposed(POST_A, version)])
        appended = time.monotonic()
        async with asyncio.timeout(SOON):
            await waiting
        delays.append(time.monotonic() - appended)
    assert sorted(delays)[2] < 0.2


async def test_a_change_stream_that_lags_is_replaced(
    log_of_two: tuple[LogHandle, LogHandle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not read while no task waited."""
    monkeypatch.setattr(commit_log, "_POLL_SECONDS", LONG)
    monkeypatch.setattr(commit_log, "_TOO_FAR_BEHIND", 10)
    mine, theirs = log_of_two
    position = 0
    for _ in range(3):
        await theirs.store.append([proposed(POST_A, position + number) for number in range(1, 41)])
        position += 40
        async with asyncio.timeout(SOON):
            await mine.commits.wait(after=position - 1, timeout=LONG)
        assert await mine.commits.tip() == position


async def test_a_log_from_which_a_commit_was_removed_is_not_read_past_the_gap(database: MongoDatabase) -> None:
    await MongoEventStore(database).append([proposed(POST_A, version) for version in range(1, 6)])
    await database.commits.delete_one({"_id": 3})
    log = MongoCommitLog(database)
    with pytest.raises(LogDamaged) as damaged:
        await log.read(0)
    assert "The log has no commit at position 3, but one at 4" in damaged.value.message
    with pytest.raises(LogDamaged):
        await log.read(2)
    with pytest.raises(LogDamaged):
        await log.read_events(0)
    assert [commit.position for commit in await log.read(0, limit=2)] == [1, 2]
    assert [commit.position for commit in await log.read(3)] == [4, 5]


async def test_many_requests_for_a_position_beyond_the_log_share_a_few_proofs(database: MongoDatabase) -> None:
    """A proof is a write by a majority: a caller must not be able to cause one with each request."""
    await MongoEventStore(database).append([proposed(POST_A)])
    end = LogEnd(MongoCommitLog(database), SystemClock())
    for _ in range(3):
        assert await asyncio.gather(*(end.proven_below(position) for position in range(2, 202))) == [1] * 200
    assert await end.proven_below(1) is None
    barrier = await database.writers.find_one({"_id": "barrier"})
    assert barrier is not None
    assert barrier["passed"] <= 6
