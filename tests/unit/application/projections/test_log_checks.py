"""Whether rows belong to a log, by the commits at their checkpoints, also while reads are stale; and whether positions
are missing from the log, found exactly, and at little cost if none is.
"""

import asyncio
from collections.abc import Collection

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog
from application.envelopes import Commit
from application.errors import LogDamaged, StoreUnavailable, WrongLog
from application.log_order import LogGap
from application.ports.provisioning import ProbeResult
from application.ports.read_db import Checkpoint, LiveGeneration
from application.projections import log_checks as module
from application.projections.log_checks import LogGaps, PositionsProbe, commit_at, require_same_log
from contracts.log_handle import POST_A, commit_id, proposed


class Lagging(MemoryCommitLog):
    """Like a primary just after its election: reads end at position 2 until it has proven where the log ends."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.proofs = 0
        self.limits: set[int] = set()

    async def proven_tip(self) -> int:
        self.proofs += 1
        return await super().proven_tip()

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        self.limits.add(limit)
        return [commit for commit in await super().read(after, limit) if self.proofs or commit.position <= 2]


@pytest.fixture
async def log() -> Lagging:
    memory = MemoryLog()
    await MemoryEventStore(memory).append(
        [proposed(POST_A, version, name=f"commit {version}") for version in (1, 2, 3)]
    )
    return Lagging(memory)


def at(position: int, name: str | None = None) -> Checkpoint:
    return Checkpoint(
        partition=0,
        position=position,
        commit_position=position,
        commit_id=commit_id(name or f"commit {position}"),
    )


async def match(log: Lagging, *checkpoints: Checkpoint) -> None:
    live = LiveGeneration(generation=1, slot="a", log_id=await log.log_id(), partitions=1, ready=True)
    await require_same_log(live, checkpoints, log)


async def test_a_commit_that_a_stale_read_does_not_have_does_not_count_as_gone(log: Lagging) -> None:
    await match(log, at(1), at(3))
    assert log.proofs == 1


async def test_a_commit_that_was_read_needs_no_proof(log: Lagging) -> None:
    await match(log, at(1), at(2))
    assert log.proofs == 0


async def test_a_commit_beyond_the_proven_tip_is_gone(log: Lagging) -> None:
    with pytest.raises(WrongLog, match="at position 4, which the log does not have there"):
        await match(log, at(4))
    assert log.proofs == 1


async def test_another_commit_in_its_place_means_another_log(log: Lagging) -> None:
    with pytest.raises(WrongLog, match="the log was restored to an older state"):
        await match(log, at(2, "another commit"))
    assert log.proofs == 0


async def test_rows_of_another_log_are_refused_and_the_message_names_both(log: Lagging) -> None:
    live = LiveGeneration(generation=1, slot="a", log_id="another", partitions=1, ready=True)
    with pytest.raises(WrongLog) as refused:
        await require_same_log(live, [], log)
    assert refused.value.message == (
        f"The read database was filled from log another, but the event store holds log {await log.log_id()}. "
        "Point read_db at its own database, or refill this one with `postlog rebuild`."
    )


async def test_rows_that_belong_to_no_log_yet_fit_every_log(log: Lagging) -> None:
    live = LiveGeneration(generation=1, slot="a", log_id=None, partitions=1, ready=False)
    await require_same_log(live, [at(1)], log)


async def test_a_checkpoint_without_a_commit_proves_nothing_and_the_next_one_is_checked(log: Lagging) -> None:
    empty = Checkpoint(partition=0, position=2)
    await match(log, empty, at(2))
    with pytest.raises(WrongLog) as refused:
        await match(log, empty, at(2, "another commit"))
    assert refused.value.message == (
        f"The read database has seen commit {commit_id('another commit')} at position 2, which the log does not have "
        "there: the log was restored to an older state. "
        "Point read_db at its own database, or refill this one with `postlog rebuild`."
    )


async def test_a_commit_is_found_by_its_position_although_reads_are_stale(log: Lagging) -> None:
    found = await commit_at(3, log)
    assert found is not None
    assert found.commit_id == commit_id("commit 3")
    assert await commit_at(4, log) is None
    assert log.limits == {1}


class Positions:
    """A log of which only the positions matter. `counted` is how many keys were counted."""

    def __init__(self, positions: Collection[int], miscount: int | None = 0) -> None:
        self.positions = set(positions)
        self.miscount = miscount
        self.counted = 0

    async def log_id(self) -> str:
        return "log"

    async def tip(self) -> int:
        return max(self.positions, default=0)

    async def count(self, after: int, until: int) -> int:
        await asyncio.sleep(0)
        found = len(self.positions.intersection(range(after + 1, until + 1)))
        self.counted += found
        return found

    async def rough_count(self) -> int | None:
        return None if self.miscount is None else len(self.positions) + self.miscount


def numbers(*ranges: tuple[int, int]) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NEAR_THE_END", 100)
    monkeypatch.setattr(module, "_AT_ONCE", 1_000)


HOLES = {
    "after a restore": (numbers((1, 5), (56, 56)), LogGap(6, 56)),
    "the first commit": (numbers((2, 50)), LogGap(1, 2)),
    "one of many, long ago": (numbers((1, 2_345), (2_347, 9_000)), LogGap(2_346, 2_347)),
    "the first of several": (numbers((1, 1_000), (1_500, 1_600), (1_700, 3_000)), LogGap(1_001, 1_500)),
    "right before the last": (numbers((1, 4_000), (4_002, 4_002)), LogGap(4_001, 4_002)),
}


@pytest.mark.parametrize("miscount", [0, None])
@pytest.mark.parametrize(("positions", "gap"), HOLES.values(), ids=HOLES.keys())
async def test_a_thorough_search_finds_the_first_gap(positions: list[int], gap: LogGap, miscount: int | None) -> None:
    assert await LogGaps(Positions(positions, miscount)).find(thorough=True) == gap


@pytest.mark.parametrize(("positions", "gap"), HOLES.values(), ids=HOLES.keys())
async def test_any_search_finds_the_gap_if_the_store_counts_its_commits(positions: list[int], gap: LogGap) -> None:
    assert await LogGaps(Positions(positions)).find() == gap


async def test_without_such_a_count_old_positions_are_counted_in_parts() -> None:
    log = Positions(numbers((1, 2_345), (2_347, 9_000)), miscount=None)
    gaps = LogGaps(log)
    found = [await gaps.find() for _ in range(3)]
    assert found == [None, None, LogGap(2_346, 2_347)]


@pytest.mark.parametrize("positions", [[], numbers((1, 1)), numbers((1, 50_000))])
@pytest.mark.parametrize("miscount", [0, None])
async def test_a_complete_log_has_no_gap(positions: list[int], miscount: int | None) -> None:
    log = Positions(positions, miscount)
    gaps = LogGaps(log)
    assert [await gaps.find(), await gaps.find(thorough=True), await gaps.find()] == [None, None, None]


async def test_a_search_in_a_long_log_counts_its_last_positions_only() -> None:
    log = Positions(numbers((1, 50_000)))
    assert await LogGaps(log).find() is None
    assert log.counted == 100


async def test_a_count_that_is_wrong_after_an_unclean_shutdown_is_checked_once() -> None:
    log = Positions(numbers((1, 5_000)), miscount=-7)
    gaps = LogGaps(log)
    assert await gaps.find() is None
    assert log.counted >= 5_000
    before = log.counted
    assert await gaps.find() is None
    assert log.counted - before == 100
    log.positions.remove(17)
    log.positions.remove(18)
    assert await gaps.find() is None  # it was counted before; a search in another process starts again
    assert await LogGaps(log).find() == LogGap(17, 19)


async def test_a_known_gap_is_not_searched_again_and_dropped_when_it_is_gone() -> None:
    log = Positions(numbers((1, 3_000), (3_010, 9_000)))
    gaps = LogGaps(log)
    assert await gaps.find() == LogGap(3_001, 3_010)
    before = log.counted
    assert await gaps.find() == LogGap(3_001, 3_010)
    assert log.counted - before == 2
    log.positions |= set(range(3_001, 3_010))
    assert await gaps.find() is None
    assert gaps.known is None


async def test_a_partly_filled_gap_is_searched_again() -> None:
    log = Positions(numbers((1, 3_000), (3_010, 9_000)))
    gaps = LogGaps(log)
    assert await gaps.find() == LogGap(3_001, 3_010)
    log.positions |= {3_009}
    assert await gaps.find() == LogGap(3_001, 3_009)
    log.positions |= {3_001, 3_002}
    assert await gaps.find() == LogGap(3_003, 3_009)


async def test_writing_after_a_gap_is_refused_until_a_search_finds_it_gone() -> None:
    log = Positions(numbers((1, 5), (56, 56)))
    gaps = LogGaps(log)
    with pytest.raises(LogDamaged) as refused:
        await gaps.require_none()
    assert refused.value.message == (
        "The log has no commit at positions 6 to 55, but one at 56: commits were removed, or a backup was restored "
        "under running processes. Restore the missing commits from a backup; if there is none, `postlog events cut` "
        "removes the commits after the gap."
    )
    assert await PositionsProbe(gaps).probe() == ProbeResult("positions", False, refused.value.message)
    log.positions.remove(56)
    found = await PositionsProbe(gaps).probe()
    assert found == ProbeResult("positions", True, "No position is missing from the log.")
    await gaps.require_none()


async def test_the_probe_fails_with_the_reason_if_the_log_can_not_be_searched() -> None:
    class Away(Positions):
        async def log_id(self) -> str:
            raise StoreUnavailable("The store does not answer.")

    found = await PositionsProbe(LogGaps(Away([]))).probe()
    assert found == ProbeResult("positions", False, "The store does not answer.")


async def test_concurrent_callers_share_the_first_search() -> None:
    log = Positions(numbers((1, 1_000)))
    gaps = LogGaps(log)
    await asyncio.gather(*[gaps.require_none() for _ in range(64)])
    assert log.counted == 100


async def test_the_first_search_of_a_process_that_writes_is_not_a_thorough_one() -> None:
    log = Positions(numbers((1, 9_000)), miscount=None)
    await LogGaps(log).require_none()
    assert log.counted == 1_100


async def test_a_log_that_is_shorter_than_before_is_searched_from_its_beginning() -> None:
    log = Positions(numbers((1, 5_000)), miscount=None)
    gaps = LogGaps(log)
    assert await gaps.find(thorough=True) is None
    log.positions, log.miscount = set(numbers((2, 20))), 1
    assert await gaps.find() == LogGap(1, 2)


async def test_commits_that_a_wrong_count_never_had_hide_no_later_gap() -> None:
    log = Positions(numbers((1, 5_000)), miscount=-7)
    gaps = LogGaps(log)
    assert await gaps.find() is None
    log.positions |= set(numbers((5_001, 5_999), (6_001, 9_000)))
    assert await gaps.find() == LogGap(6_000, 6_001)


async def test_a_known_gap_before_the_first_commit_is_not_searched_again() -> None:
    log = Positions(numbers((2, 50)))
    gaps = LogGaps(log)
    assert await gaps.find() == LogGap(1, 2)
    before = log.counted
    assert await gaps.find() == LogGap(1, 2)
    assert log.counted - before == 1
