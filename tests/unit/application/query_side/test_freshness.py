"""A position beyond the log's end is refused at once, but only when that is proven, with few reads of the log."""

import asyncio

import pytest

from adapters.memory.log import MemoryCommitLog
from adapters.system.clock_and_ids import SystemClock
from adapters.system.rows_moved import LocalRowsMoved
from application.errors import NotYetVisible, PositionBeyondLog, StoreUnavailable
from application.ports.post_views import PostFilter, Stamp, Stamped
from application.query_side.freshness import Freshness, LogEnd
from application.query_side.posts import GetPost, ListComments, ListPosts
from command_process import ANYBODY
from domain.commands import CreatePost, LikePost
from given import NOON, POST
from small_system import SmallSystem

CREATED = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
LIKED = LikePost(post_id=POST, username="Bob")
BEYOND = 1_000


class ScriptedLog:
    """`tip` is the result of reading the tip, `proven` that of a proof; `asked` are the calls, in order."""

    def __init__(self, tip: int = 1, proven: int = 1) -> None:
        self.tip_result, self.proven_result = tip, proven
        self.is_away = False
        self.asked: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    async def tip(self) -> int:
        return await self._answer("tip", self.tip_result)

    async def proven_tip(self) -> int:
        return await self._answer("proof", self.proven_result)

    async def _answer(self, question: str, position: int) -> int:
        self.asked.append(question)
        await self.free.wait()
        if self.is_away:
            raise StoreUnavailable("The log is away.")
        return position


def log_end(log: ScriptedLog) -> LogEnd:
    return LogEnd(log, SystemClock())  # type: ignore[arg-type]


async def projected_once(patience: float) -> SmallSystem:
    """Rows at position 1, with no projector running."""
    system = SmallSystem(patience=patience)
    await system.process.commands.handle(CREATED, ANYBODY)
    async with system.projecting():
        await system.caught_up()
    return system


@pytest.mark.parametrize(
    "query",
    [
        GetPost(post_id=POST, min_position=BEYOND),
        ListPosts(wanted=PostFilter(), limit=10, min_position=BEYOND),
        ListComments(post_id=POST, limit=10, min_position=BEYOND),
    ],
    ids=lambda query: type(query).__name__,
)
async def test_a_position_beyond_the_log_is_refused_at_once(query):
    system = await projected_once(patience=3_600)
    async with asyncio.timeout(20):
        with pytest.raises(PositionBeyondLog, match="names position 1000, but the log ends at 1") as refused:
            await system.queries.ask(query)
    assert refused.value.path == "Postlog-Min-Position"


async def test_a_query_waits_for_a_position_that_only_the_rows_lack():
    system = await projected_once(patience=0.3)
    await system.process.commands.handle(LIKED, ANYBODY)
    with pytest.raises(NotYetVisible):
        await system.queries.ask(GetPost(post_id=POST, min_position=2))


async def test_rows_that_are_new_enough_are_returned_without_reading_the_log():
    """The log may be away, or may have been restored to a state before that of the rows."""
    system = await projected_once(patience=0.3)
    system.commit_log.tip = system.commit_log.proven_tip = lambda: pytest.fail("the log was asked")
    assert (await system.queries.ask(GetPost(post_id=POST, min_position=1))).post.message == "Hello"


async def test_a_stale_tip_is_no_proof():
    """A majority read straight after a failover may be older than what was acknowledged."""
    log = ScriptedLog(tip=1, proven=7)
    assert await log_end(log).proven_below(7) is None
    assert log.asked == ["tip", "proof"]


async def test_a_tip_at_the_position_needs_no_proof():
    log = ScriptedLog(tip=7)
    assert await log_end(log).proven_below(7) is None
    assert log.asked == ["tip"]


async def test_a_log_that_is_away_proves_nothing():
    log = ScriptedLog()
    log.is_away = True
    assert await log_end(log).proven_below(BEYOND) is None


async def test_while_the_log_is_away_a_query_keeps_waiting_for_rows():
    system = await projected_once(patience=0.3)
    system.commit_log.tip = _away
    with pytest.raises(NotYetVisible):
        await system.queries.ask(GetPost(post_id=POST, min_position=BEYOND))


async def _away() -> int:
    raise StoreUnavailable("The log is away.")


async def test_callers_during_one_read_share_the_next():
    """The read in flight began before they asked: a commit acknowledged in between may be missing in it."""
    log = ScriptedLog(tip=5, proven=5)
    end = log_end(log)
    log.free.clear()
    first = asyncio.create_task(end.proven_below(BEYOND))
    while not log.asked:
        await asyncio.sleep(0)
    others = [asyncio.create_task(end.proven_below(position)) for position in (6, 7, BEYOND)]
    await asyncio.sleep(0)
    log.tip_result = log.proven_result = 6  # acknowledged before `others` asked
    log.free.set()
    assert await asyncio.gather(first, *others) == [6, None, 6, 6]
    assert log.asked == ["tip", "proof", "tip", "proof"]


async def test_a_caller_that_asks_repeatedly_causes_few_reads():
    log = ScriptedLog()
    end = log_end(log)
    before = asyncio.get_running_loop().time()
    for _ in range(5):
        assert await end.proven_below(BEYOND) == 1
    assert asyncio.get_running_loop().time() - before > 0.35  # four pauses of 0.1 s
    assert log.asked == ["tip", "proof"] * 5


async def test_cancelled_callers_do_not_end_the_read_of_others():
    log = ScriptedLog()
    end = log_end(log)
    log.free.clear()
    leaving, staying = (asyncio.create_task(end.proven_below(BEYOND)) for _ in range(2))
    while not log.asked:
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    log.free.set()
    assert await staying == 1


async def test_a_real_log_in_memory_returns_its_end():
    system = await projected_once(patience=1)
    assert await LogEnd(MemoryCommitLog(system.log), SystemClock()).proven_below(2) == 1


class ProjectedRows:
    """Their position is `moved.position`, or 0; `reads` has the position that each read found."""

    def __init__(self, moved: LocalRowsMoved) -> None:
        self.moved = moved
        self.reads: list[int] = []

    async def read(self) -> Stamped[None]:
        self.reads.append(self.moved.position or 0)
        return Stamped(Stamp(generation=1, ready=True, position=self.reads[-1], parked=0), None)


def freshness(moved: LocalRowsMoved, patience: float) -> Freshness:
    return Freshness(SystemClock(), moved, log_end(ScriptedLog(tip=2)), patience)


async def test_a_query_for_what_the_projector_here_is_about_to_write_reads_once():
    moved = LocalRowsMoved()
    moved.notify(1)
    rows = ProjectedRows(moved)
    asking = asyncio.create_task(freshness(moved, 60).read(rows.read, 2))
    await asyncio.sleep(0)
    moved.notify(2)
    async with asyncio.timeout(20):
        await asking
    assert rows.reads == [2]


async def test_without_news_of_the_projector_here_the_rows_are_read_all_the_same():
    """Another process's projector may have written them."""
    moved = LocalRowsMoved()
    moved.notify(1)
    rows = ProjectedRows(moved)
    with pytest.raises(NotYetVisible):
        await freshness(moved, 0.05).read(rows.read, 2)
    assert set(rows.reads) == {1}


async def test_a_query_that_names_no_position_reads_at_once():
    moved = LocalRowsMoved()
    moved.notify(1)
    rows = ProjectedRows(moved)
    assert (await freshness(moved, 60).read(rows.read, None)).stamp.position == 1
    assert rows.reads == [1]
