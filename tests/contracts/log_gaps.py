"""A log that lacks positions: nobody reads or writes on behind the gap, everybody says where it is, and goes on when it
is gone. Its adapter gives `open_log`, and `removed`, which takes commits out behind its back and puts them back.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from application.errors import LogChanged, LogDamaged
from application.log_order import LogGap
from application.maintenance.events_check import EventsCheck, RangeCheck
from application.ports.event_store import Appended, Unsettled, VersionTaken
from application.projections.log_checks import LogGaps
from command_process import ANYBODY, CODEC
from contracts.damaged_streams import CREATED
from contracts.log_handle import POST_A, POST_B, LogHandle, OpenLog, proposed
from domain.commands import CreatePost, LikePost
from domain.ids import PostId
from given import NOON
from small_system import SmallSystem

Removed = Callable[[Sequence[int]], AbstractAsyncContextManager[None]]
"""`async with removed([3, 4]):` the commits at these positions are not there within the block."""

SENTENCE = "The log has no commit at positions 3 to 5, but one at 6"


async def filled(log: LogHandle) -> None:
    posts = [PostId(f"019b0000-0000-7000-8000-0000000000{number:02x}") for number in range(6)]
    outcomes = await log.store.append([proposed(post, 1, *CREATED) for post in posts])
    assert outcomes == [Appended(position) for position in range(1, 7)]


class LogGapsContract:
    async def test_readers_stop_there_and_say_where_it_is(self, open_log: OpenLog, removed: Removed) -> None:
        async with open_log() as log:
            await filled(log)
            async with removed([3, 4, 5]):
                for read in (log.commits.read, log.commits.read_events):
                    assert [commit.position for commit in await read(0, 2)] == [1, 2]
                    for after in (0, 2):
                        with pytest.raises(LogDamaged, match=SENTENCE):
                            await read(after)
                with pytest.raises(LogDamaged, match=SENTENCE):
                    await EventsCheck(log.commits, log.past_events, [RangeCheck(log.commits, CODEC)], 1).run(
                        lambda _: None
                    )
                system = SmallSystem(on=log)
                with pytest.raises(LogDamaged, match=SENTENCE):
                    await system.container.audit().run()
            assert len(await log.commits.read(0)) == 6

    async def test_it_is_found_and_found_gone(self, open_log: OpenLog, removed: Removed) -> None:
        async with open_log() as log:
            assert await LogGaps(log.commits).find(thorough=True) is None
            await filled(log)
            gaps = LogGaps(log.commits)
            assert await gaps.find(thorough=True) is None
            async with removed([3, 4, 5]):
                assert await gaps.find() == LogGap(3, 6)
                assert await LogGaps(log.commits).find(thorough=True) == LogGap(3, 6)
            assert await gaps.find() is None
            async with removed([1]):
                assert await gaps.find() == LogGap(1, 2)
            async with removed([5, 6]):
                assert await gaps.find(thorough=True) is None

    async def test_a_process_that_starts_behind_it_takes_no_command_and_goes_on_when_it_is_gone(
        self, open_log: OpenLog, removed: Removed
    ) -> None:
        async with open_log() as log:
            await filled(log)
            async with removed([3, 4, 5]):
                gaps = LogGaps(log.commits)
                system = SmallSystem(on=log, gaps=gaps)
                for command in (
                    CreatePost(post_id=POST_A, author="Ann", message="Hello", date_posted=NOON),
                    LikePost(post_id=PostId("019b0000-0000-7000-8000-000000000000"), username="Bob"),
                ):
                    with pytest.raises(LogDamaged, match=SENTENCE):
                        await system.process.commands.handle(command, ANYBODY)
                assert await log.commits.tip() == 6
            await gaps.find()
            create = CreatePost(post_id=POST_B, author="Ann", message="Hello", date_posted=NOON)
            assert (await system.process.commands.handle(create, ANYBODY)).position == 7

    async def test_a_projector_waits_at_it_and_goes_on_when_it_is_gone(
        self, open_log: OpenLog, removed: Removed
    ) -> None:
        async with open_log() as log:
            await filled(log)
            system = SmallSystem(on=log, batch_size=2)
            async with removed([3, 4, 5]):
                running = system.projecting()
                await running.__aenter__()
                await system.counted("projector_interruptions", 1)
            await system.caught_up(20)
            await running.__aexit__(None, None, None)
            assert len(system.read_db.live_rows.posts) == 6

    @pytest.mark.parametrize("gone", [[2], [2, 3], [3], [1, 2, 3]], ids=str)
    async def test_nothing_is_acknowledged_on_what_was_taken_away(
        self, open_log: OpenLog, removed: Removed, gone: list[int]
    ) -> None:
        """Whatever the store remembers of streams and positions: it refuses the version, or says that the log changed,
        or that it does not know."""
        async with open_log() as log:
            await log.store.append([proposed(POST_A), proposed(POST_A, 2), proposed(POST_B)])
            async with removed(gone):
                stream, version = (POST_A, 3) if 2 in gone else (POST_B, 2)
                [outcome] = await asyncio.gather(log.store.append([proposed(stream, version)]), return_exceptions=True)
                refused = outcome[0] if isinstance(outcome, list) else outcome
                assert isinstance(refused, VersionTaken | Unsettled | LogChanged)
