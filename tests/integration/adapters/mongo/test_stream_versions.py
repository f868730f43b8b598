"""A process that has not read a stream appends to it: what it may do depends on the log, not on its memory."""

from collections.abc import AsyncIterator

import pytest

from adapters.mongo.event_store import MongoEventStore
from application.ports.event_store import AlreadyStored, Appended, VersionTaken
from contracts.log_handle import POST_A, POST_B, LogHandle, OpenLog, liked, proposed

THREE = (liked("a"), liked("b"), liked("c"))


@pytest.fixture
async def cold(open_log: OpenLog) -> AsyncIterator[LogHandle]:
    """Another process has stored versions 1 to 3 of two posts, as one commit each; this one has read nothing."""
    async with open_log() as other:
        await other.store.append([proposed(POST_A, 1, *THREE), proposed(POST_B, 1, *THREE)])
    async with open_log() as handle:
        yield handle


async def test_it_appends_behind_the_end(cold: LogHandle) -> None:
    assert await cold.store.append([proposed(POST_A, 4), proposed(POST_A, 5)]) == [Appended(3), Appended(4)]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_it_does_not_append_inside_a_commit(cold: LogHandle, version: int) -> None:
    late = [proposed(POST_A, version, name="late"), proposed(POST_B, 4)]
    assert await cold.store.append(late) == [VersionTaken(), Appended(3)]


@pytest.mark.parametrize("version", [5, 6, 100])
async def test_it_does_not_append_behind_a_gap(cold: LogHandle, version: int) -> None:
    assert await cold.store.append([proposed(POST_A, version), proposed(POST_B, 4)]) == [VersionTaken(), Appended(3)]


async def test_a_commit_stored_before_is_returned_though_its_version_would_not_fit(cold: LogHandle) -> None:
    repeated = proposed(POST_B, 9, name=f"{POST_A}/1")
    [outcome] = await cold.store.append([repeated])
    assert isinstance(outcome, AlreadyStored)
    assert (outcome.commit.position, outcome.commit.stream_id) == (1, POST_A)


async def test_a_version_dropped_from_memory_is_read_again(cold: LogHandle) -> None:
    """Memory for one stream, and a call with two."""
    assert isinstance(cold.store, MongoEventStore)
    cold.store._stream_versions._capacity = 1
    assert await cold.store.append([proposed(POST_A, 4), proposed(POST_B, 4)]) == [Appended(3), Appended(4)]
    assert await cold.store.append([proposed(POST_A, 5), proposed(POST_B, 5)]) == [Appended(5), Appended(6)]
