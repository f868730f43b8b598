"""What every commit log must do. An adapter adopts it with a subclass named `Test…` and the fixture `open_log`."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from application.envelopes import Commit, CommitEvents, ProposedCommit
from application.ports.commit_log import Shard
from application.ports.event_store import Appended
from contracts.log_handle import POST_A, POST_B, POST_C, LogHandle, OpenLog, Visitor, liked, proposed, with_data
from domain.ids import PostId

LONG = 30.0
"""Seconds that a wait is allowed and never needs."""

SOON = 5.0
"""Seconds within which a wait that is woken ends, on a busy machine too."""


class CommitLogContract:
    @pytest.fixture
    async def log(self, open_log: OpenLog) -> AsyncIterator[LogHandle]:
        async with open_log() as handle:
            yield handle

    @pytest.fixture
    async def other(self, log: LogHandle, open_log: OpenLog) -> AsyncIterator[LogHandle]:
        async with open_log() as handle:
            yield handle

    # Reading by position

    async def test_an_empty_log_has_tip_zero_and_nothing_to_read(self, log: LogHandle) -> None:
        assert await log.commits.tip() == 0
        assert await log.commits.read(0) == []

    async def test_the_tip_is_the_last_position(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A), proposed(POST_B)])
        assert await log.commits.tip() == 2

    async def test_the_proven_tip_has_what_another_process_was_acknowledged(
        self, log: LogHandle, other: LogHandle
    ) -> None:
        assert await log.commits.proven_tip() == 0
        await other.store.append([proposed(POST_A), proposed(POST_B)])
        assert await log.commits.proven_tip() == 2
        assert [commit.position for commit in await log.commits.read(1)] == [2]

    async def test_commits_are_read_behind_a_position_in_order(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, 1, liked("a"), liked("b")), proposed(POST_B), proposed(POST_A, 3)])
        read = await log.commits.read(1)
        assert [(c.position, c.stream_id, c.version, c.last_version) for c in read] == [
            (2, POST_B, 1, 1),
            (3, POST_A, 3, 3),
        ]
        assert await log.commits.read(3) == []
        assert await log.commits.read(99) == []

    async def test_a_commit_reads_the_same_by_position_by_stream_and_by_id(self, log: LogHandle) -> None:
        commit = proposed(POST_A, 1, liked("ann"), liked(None), name="one")
        await log.store.append([commit])
        [by_position] = await log.commits.read(0)
        assert [by_position] == await log.store.read_stream(POST_A)
        assert by_position == await log.store.find_commit(commit.commit_id)

    async def test_a_read_has_at_most_the_wanted_number_of_commits(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, version) for version in range(1, 8)])
        assert [c.position for c in await log.commits.read(0, limit=3)] == [1, 2, 3]
        assert [c.position for c in await log.commits.read(3, limit=3)] == [4, 5, 6]
        assert [c.position for c in await log.commits.read(6, limit=3)] == [7]

    async def test_a_read_has_about_sixteen_megabytes(self, log: LogHandle) -> None:
        text = "x" * 999_900
        for version in range(1, 21):
            await log.store.append([with_data(POST_A, version, {"message": text})])
        first = await log.commits.read(0)
        assert [c.position for c in first] == list(range(1, len(first) + 1))
        assert 14 <= len(first) <= 18
        second = await log.commits.read(first[-1].position)
        assert [c.position for c in first + second] == list(range(1, 21))

    async def test_what_a_projection_needs_is_read_as_the_whole_commits_are(self, log: LogHandle) -> None:
        whole_numbers = {"small": 1, "beyond 32 bits": 2**40}
        await log.store.append([proposed(POST_A, 1, liked("ann"), liked(None)), with_data(POST_B, 1, whole_numbers)])
        await log.store.append([proposed(POST_A, version) for version in range(3, 7)])
        commits = await log.commits.read(0)
        expected = [CommitEvents(c.position, c.stream_id, c.version, c.commit_id, c.events) for c in commits]
        assert len(expected) == 6
        assert await log.commits.read_events(0) == expected
        assert await log.commits.read_events(1, limit=2) == expected[1:3]
        assert await log.commits.read_events(6) == []
        assert [each.last_version for each in expected] == [2, 1, 3, 4, 5, 6]

    async def test_shares_divide_the_commits_by_the_last_digit_of_the_post(self, log: LogHandle) -> None:
        """Those of the posts a, b and c, of which a and c are even."""
        await log.store.append([proposed(post, version) for version in (1, 2) for post in (POST_A, POST_B, POST_C)])
        commits = await log.commits.read_events(0)
        even, odd = Shard.all(2)
        assert even.last_digits == "02468ace"
        assert await log.commits.read_shard(0, 6, even) == [commits[place] for place in (0, 2, 3, 5)]
        assert await log.commits.read_shard(0, 6, odd) == [commits[place] for place in (1, 4)]
        assert await log.commits.read_shard(1, 4, even) == [commits[2], commits[3]]
        assert await log.commits.read_shard(4, 4, even) == []
        assert await log.commits.read_shard(0, 99, Shard(0, 1)) == commits
        assert await log.commits.read_shard(2, 6, Shard(11, 16)) == [commits[4]]

    async def test_a_share_is_read_by_about_sixteen_megabytes(self, log: LogHandle) -> None:
        for version in range(1, 21):
            await log.store.append([with_data(POST_A, version, {"message": "x" * 999_900}), proposed(POST_B, version)])
        shard = Shard.of(POST_A, 2)
        first = await log.commits.read_shard(0, 40, shard)
        second = await log.commits.read_shard(first[-1].position, 40, shard)
        assert [c.version for c in first + second] == list(range(1, 21))
        assert 14 <= len(first) <= 18

    async def test_a_visitor_gets_the_commits_that_are_read(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A, 1, liked("ann"), liked(None)), with_data(POST_B, 1, {"big": 2**40})])
        await log.store.append([proposed(POST_A, version) for version in range(3, 7)])
        commits = await log.commits.read(0)
        for after, until in [(0, 6), (1, 4), (5, 99), (6, 9), (3, 3)]:
            expected = [each for each in commits if after < each.position <= until]
            refusing, taking = Visitor(takes_texts=False), Visitor(takes_texts=True)
            await log.commits.visit(after, until, refusing)
            await log.commits.visit(after, until, taking)
            assert refusing.commits == expected
            assert [each.position for each in (taking.texts or taking.commits)] == [each.position for each in expected]
            assert taking.texts in ([], [CommitEvents(*each[:3], "", each.events) for each in expected])

    async def test_a_visit_has_more_than_sixteen_megabytes(self, log: LogHandle) -> None:
        for version in range(1, 21):
            await log.store.append([with_data(POST_A, version, {"message": "x" * 999_900})])
        visitor = Visitor(takes_texts=False)
        await log.commits.visit(1, 20, visitor)
        assert [each.position for each in visitor.commits] == list(range(2, 21))

    # The log's own id

    async def test_the_log_has_an_id_that_stays_when_it_is_opened_again(self, open_log: OpenLog) -> None:
        async with open_log() as handle:
            log_id = await handle.commits.log_id()
            await handle.store.append([proposed(POST_A)])
        async with open_log() as handle:
            assert await handle.commits.log_id() == log_id
            assert await handle.commits.tip() == 1
        assert str(UUID(log_id)) == log_id

    async def test_two_processes_that_open_a_new_log_at_once_agree_on_its_id(
        self, log: LogHandle, other: LogHandle
    ) -> None:
        mine, theirs = await asyncio.gather(log.commits.log_id(), other.commits.log_id())
        assert mine == theirs

    # Waiting for more

    async def test_a_wait_for_what_is_there_already_ends_at_once(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A)])
        async with asyncio.timeout(SOON):
            await log.commits.wait(after=0, timeout=LONG)

    async def test_a_wait_is_woken_by_an_append_in_this_process(self, log: LogHandle) -> None:
        waiting = asyncio.create_task(log.commits.wait(after=0, timeout=LONG))
        await asyncio.sleep(0)
        await log.store.append([proposed(POST_A)])
        async with asyncio.timeout(SOON):
            await waiting

    async def test_a_wait_is_woken_by_an_append_of_another_process(self, log: LogHandle, other: LogHandle) -> None:
        await log.store.append([proposed(POST_A)])
        waiting = asyncio.create_task(log.commits.wait(after=1, timeout=LONG))
        await asyncio.sleep(0)
        await other.store.append([proposed(POST_B)])
        async with asyncio.timeout(SOON):
            await waiting
        assert [c.position for c in await log.commits.read(1)] == [2]

    async def test_everybody_who_waits_is_woken(self, log: LogHandle) -> None:
        waiting = [asyncio.create_task(log.commits.wait(after=0, timeout=LONG)) for _ in range(5)]
        await asyncio.sleep(0)
        await log.store.append([proposed(POST_A)])
        async with asyncio.timeout(SOON):
            await asyncio.gather(*waiting)

    async def test_a_wait_in_vain_ends_when_its_time_is_up(self, log: LogHandle) -> None:
        await log.store.append([proposed(POST_A)])
        started = time.monotonic()
        async with asyncio.timeout(SOON):
            await log.commits.wait(after=1, timeout=0.05)
        assert time.monotonic() - started < SOON

    async def test_a_wait_can_be_cancelled_and_the_log_waited_for_again(self, log: LogHandle) -> None:
        waiting = asyncio.create_task(log.commits.wait(after=0, timeout=LONG))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await log.store.append([proposed(POST_A)])
        async with asyncio.timeout(SOON):
            await log.commits.wait(after=0, timeout=LONG)

    async def test_no_append_is_missed_between_reading_and_waiting(self, log: LogHandle, other: LogHandle) -> None:
        async def follow(upto: int) -> list[int]:
            seen: list[int] = []
            while len(seen) < upto:
                seen += [c.position for c in await log.commits.read(len(seen))]
                await log.commits.wait(after=len(seen), timeout=LONG if len(seen) < upto else 0)
            return seen

        following = asyncio.create_task(follow(40))
        for version in range(1, 21):
            await log.store.append([proposed(POST_A, version)])
            await other.store.append([proposed(POST_B, version)])
        async with asyncio.timeout(LONG):
            assert await following == list(range(1, 41))

    # Several writers

    async def test_two_processes_that_append_at_once_leave_a_dense_log(self, log: LogHandle, other: LogHandle) -> None:
        positions = await asyncio.gather(_write(log, POST_A, 60, 1), _write(other, POST_B, 60, 3))
        assert sorted(positions[0] + positions[1]) == list(range(1, 121))
        _assert_dense(await log.commits.read(0), 120)
        assert await log.commits.read(0) == await other.commits.read(0)

    async def test_a_reader_never_sees_a_gap_while_others_append(self, log: LogHandle, other: LogHandle) -> None:
        writing = asyncio.gather(_write(log, POST_A, 60, 2), _write(other, POST_B, 60, 5))
        while not writing.done():
            tip = await log.commits.tip()
            seen = await log.commits.read(0)
            _assert_dense(seen, len(seen))
            assert len(seen) >= tip
            await asyncio.sleep(0)
        await writing
        assert await other.commits.tip() == 120


async def _write(log: LogHandle, stream: PostId, commits: int, group: int) -> list[int]:
    """Append `commits` likes to the stream in groups, at the versions that nobody else writes."""
    positions: list[int] = []
    for first in range(1, commits + 1, group):
        proposals: list[ProposedCommit] = [proposed(stream, version) for version in range(first, first + group)]
        outcomes = await log.store.append(proposals)
        positions += [outcome.position for outcome in outcomes if isinstance(outcome, Appended)]
    return positions


def _assert_dense(commits: list[Commit], count: int) -> None:
    assert [c.position for c in commits] == list(range(1, count + 1))
    next_version: dict[PostId, int] = {}
    for commit in commits:
        assert commit.version == next_version.get(commit.stream_id, 1)
        next_version[commit.stream_id] = commit.last_version + 1
