"""The check of all events: its counts, and the places where reading fails."""

import asyncio
from collections import Counter

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog
from adapters.wire.event_codec import MsgspecEventCodec
from application.errors import StoreUnavailable
from application.maintenance.events_check import (
    COMMITS_A_RANGE,
    EventsCheck,
    PositionRange,
    RangeCheck,
    Tally,
    Unreadable,
    ranges_up_to,
)
from application.ports.commit_log import CommitVisitor
from command_process import CODEC
from domain.ids import PostId
from domain.upcasting import UpcasterChain, retype_field
from old_shapes import CODEC as NEWER_CODEC
from old_shapes import CREATED, LIKED_BY_BOB, STORIES, commits, event

NEWER = event("PostLiked", 3, username="Bob", mood="good")
PAST = MemoryEventStore(MemoryLog())
PINNED = event("PostShared", 1)
DAMAGED = event("PostLiked", 2, username=7)


def post(number: int) -> PostId:
    return PostId(f"0198c0de-0000-7000-8000-{number:012x}")


async def log_of(*histories) -> MemoryCommitLog:
    log = MemoryLog()
    for number, history in enumerate(histories):
        await MemoryEventStore(log).append(commits(history, post(number)))
    return MemoryCommitLog(log)


async def check(log: MemoryCommitLog, codec=CODEC, places: int = 20, workers: int = 1) -> Tally:
    past_events = MemoryEventStore(log._log)
    return await EventsCheck(log, past_events, [RangeCheck(log, codec) for _ in range(workers)], places).run(
        lambda _: None
    )


async def test_events_are_counted_by_name_and_stored_version():
    log = await log_of(STORIES["old-versions"].stored, [[CREATED, LIKED_BY_BOB], [event("PostLiked", 1)]])
    tally = await check(log)
    assert tally.commits == 7
    assert tally.events == {
        ("PostCreated", 1): 2,
        ("CommentAdded", 1): 1,
        ("PostLiked", 1): 2,
        ("PostLiked", 2): 1,
        ("MessageUpdated", 1): 1,
        ("CommentRemoved", 1): 1,
        ("PostRemoved", 1): 1,
    }
    assert (tally.unreadable, tally.places) == (Counter(), [])


async def test_an_event_that_can_not_be_read_is_named_with_its_place():
    log = await log_of([[CREATED]], [[CREATED], [LIKED_BY_BOB, NEWER, LIKED_BY_BOB], [LIKED_BY_BOB]])
    tally = await check(log)
    assert tally.unreadable == {("PostLiked", 3): 1}
    assert tally.events["PostLiked", 3] == 1
    assert tally.places == [
        Unreadable(
            position=3,
            post_id=post(1),
            version=3,
            type="PostLiked",
            schema_version=3,
            reason=f"Event 3 of post {post(1)} (PostLiked, schema version 3): this version of Postlog reads up to "
            "schema version 2; run a newer one.",
        )
    ]


@pytest.mark.parametrize("workers", [1, 3])
async def test_failures_are_counted_by_event_and_the_first_are_shown_in_the_order_of_the_log(workers: int):
    log = await log_of(*[[[CREATED], [NEWER], [PINNED], [DAMAGED]] for _ in range(2 * COMMITS_A_RANGE)])
    tally = await check(log, places=5, workers=workers)
    total = 2 * COMMITS_A_RANGE
    assert tally.commits == 4 * total
    assert tally.unreadable == {("PostLiked", 3): total, ("PostShared", 1): total, ("PostLiked", 2): total}
    assert [(place.position, place.type) for place in tally.places] == [
        (2, "PostLiked"),
        (3, "PostShared"),
        (4, "PostLiked"),
        (6, "PostLiked"),
        (7, "PostShared"),
    ]


async def test_events_that_are_read_together_are_not_blamed_one_by_one():
    log = await log_of(*[story.stored for story in STORIES.values()])
    assert (await check(log, NEWER_CODEC)).places == []
    older = await check(log, CODEC)
    assert older.unreadable[("PostDrafted", 1)] == 2
    assert older.events[("PostDrafted", 1)] == older.events[("PostPublished", 1)] == 2


async def test_a_step_that_fails_is_reported_at_its_commit():
    chain = UpcasterChain([retype_field("PostLiked", 1, "username", str.upper)])
    log = await log_of([[CREATED], [LIKED_BY_BOB, event("PostLiked", 1, username=7)]])
    [place] = (await check(log, MsgspecEventCodec(chain))).places
    assert (place.position, place.version) == (2, 2)
    assert "can't be brought to the current shape: TypeError" in place.reason


async def test_an_empty_log_has_nothing_to_check():
    tally = await check(await log_of())
    assert (tally.commits, tally.events.total(), tally.unreadable.total()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("tip", "ranges"),
    [
        (0, []),
        (1, [PositionRange(0, 1)]),
        (COMMITS_A_RANGE, [PositionRange(0, COMMITS_A_RANGE)]),
        (COMMITS_A_RANGE + 1, [PositionRange(0, COMMITS_A_RANGE), PositionRange(COMMITS_A_RANGE, COMMITS_A_RANGE + 1)]),
    ],
)
def test_every_position_is_in_one_range(tip: int, ranges: list[PositionRange]):
    assert list(ranges_up_to(tip)) == ranges


async def test_progress_is_reported_while_it_runs():
    log = await log_of(*[[[CREATED]]] * (COMMITS_A_RANGE + 5))
    told: list[int] = []
    await EventsCheck(log, PAST, [RangeCheck(log, CODEC)], 1).run(told.append)
    assert told == [COMMITS_A_RANGE, COMMITS_A_RANGE + 5]


class Failing:
    """A worker whose log goes away."""

    async def check(self, span: PositionRange, places: int) -> Tally:
        raise StoreUnavailable("The event store is away.")


class Waiting:
    def __init__(self) -> None:
        self.was_cancelled = False

    async def check(self, span: PositionRange, places: int) -> Tally:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        raise AssertionError


async def test_a_worker_that_fails_ends_the_check_and_the_others():
    waiting = Waiting()
    log = await log_of(*[[[CREATED]]] * (2 * COMMITS_A_RANGE))
    with pytest.raises(StoreUnavailable, match="is away"):
        await EventsCheck(log, PAST, [waiting, Failing()], 1).run(lambda _: None)
    assert waiting.was_cancelled


class ShortLog:
    """A log that has lost its end."""

    async def tip(self) -> int:
        return 10

    async def visit(self, after: int, until: int, visitor: CommitVisitor) -> None:
        pass


async def test_a_log_that_lost_its_end_is_no_log_that_can_be_read():
    log = ShortLog()
    with pytest.raises(StoreUnavailable, match="The log ends at position 0, though it had a commit at 10 before"):
        await EventsCheck(log, PAST, [RangeCheck(log, CODEC)], 1).run(lambda _: None)
