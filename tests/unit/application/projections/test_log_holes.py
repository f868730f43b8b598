"""Where positions are missing: found exactly, at little cost where none is."""

import asyncio
from collections.abc import Collection

import pytest

from application.errors import LogDamaged
from application.log_order import Hole
from application.projections import log_holes as module
from application.projections.log_holes import LogHoles, PositionsProbe


class Positions:
    """A log of which only the positions matter. `counted` is how many keys were looked through."""

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
        found = sum(after < position <= until for position in self.positions)
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
    "after a restore": (numbers((1, 5), (56, 56)), Hole(6, 56)),
    "the first commit": (numbers((2, 50)), Hole(1, 2)),
    "one of many, long ago": (numbers((1, 2_345), (2_347, 9_000)), Hole(2_346, 2_347)),
    "the first of several": (numbers((1, 1_000), (1_500, 1_600), (1_700, 3_000)), Hole(1_001, 1_500)),
    "right before the last": (numbers((1, 4_000), (4_002, 4_002)), Hole(4_001, 4_002)),
}


@pytest.mark.parametrize("miscount", [0, None])
@pytest.mark.parametrize(("positions", "hole"), HOLES.values(), ids=HOLES.keys())
async def test_a_thorough_look_finds_the_first_gap(positions: list[int], hole: Hole, miscount: int | None) -> None:
    assert await LogHoles(Positions(positions, miscount)).look(thorough=True) == hole


@pytest.mark.parametrize(("positions", "hole"), HOLES.values(), ids=HOLES.keys())
async def test_any_look_finds_it_where_the_store_counts_its_commits(positions: list[int], hole: Hole) -> None:
    assert await LogHoles(Positions(positions)).look() == hole


async def test_without_such_a_count_old_positions_are_looked_through_a_piece_at_a_time() -> None:
    log = Positions(numbers((1, 2_345), (2_347, 9_000)), miscount=None)
    holes = LogHoles(log)
    found = [await holes.look() for _ in range(3)]
    assert found == [None, None, Hole(2_346, 2_347)]


@pytest.mark.parametrize("positions", [[], numbers((1, 1)), numbers((1, 50_000))])
@pytest.mark.parametrize("miscount", [0, None])
async def test_a_whole_log_has_none(positions: list[int], miscount: int | None) -> None:
    log = Positions(positions, miscount)
    holes = LogHoles(log)
    assert [await holes.look(), await holes.look(thorough=True), await holes.look()] == [None, None, None]


async def test_a_look_at_a_long_log_counts_its_last_positions_only() -> None:
    log = Positions(numbers((1, 50_000)))
    assert await LogHoles(log).look() is None
    assert log.counted == 100


async def test_a_count_that_an_unclean_shutdown_has_left_wrong_is_checked_once() -> None:
    log = Positions(numbers((1, 5_000)), miscount=-7)
    holes = LogHoles(log)
    assert await holes.look() is None
    assert log.counted >= 5_000
    before = log.counted
    assert await holes.look() is None
    assert log.counted - before == 100
    log.positions.remove(17)
    log.positions.remove(18)
    assert await holes.look() is None  # it was counted before; a thorough look begins anew in another process
    assert await LogHoles(log).look() == Hole(17, 19)


async def test_a_gap_that_is_there_still_is_not_searched_again_and_one_that_is_gone_is_forgotten() -> None:
    log = Positions(numbers((1, 3_000), (3_010, 9_000)))
    holes = LogHoles(log)
    assert await holes.look() == Hole(3_001, 3_010)
    before = log.counted
    assert await holes.look() == Hole(3_001, 3_010)
    assert log.counted - before == 2
    log.positions |= set(range(3_001, 3_010))
    assert await holes.look() is None
    assert holes.known is None


async def test_a_gap_of_which_a_part_was_filled_is_searched_again() -> None:
    log = Positions(numbers((1, 3_000), (3_010, 9_000)))
    holes = LogHoles(log)
    assert await holes.look() == Hole(3_001, 3_010)
    log.positions |= {3_001, 3_002, 3_009}
    assert await holes.look() == Hole(3_003, 3_009)


async def test_what_must_not_go_on_behind_a_gap_is_refused_until_a_look_finds_it_gone() -> None:
    log = Positions(numbers((1, 5), (56, 56)))
    holes = LogHoles(log)
    with pytest.raises(LogDamaged) as refused:
        await holes.require_none()
    assert refused.value.message == (
        "The log has no commit at positions 6 to 55, but one at 56: commits were removed, or a backup was restored "
        "under running processes. Restore the missing ones from a backup; or, where there is none, `postlog events "
        "cut` removes what stands behind the gap."
    )
    assert (await PositionsProbe(holes).probe()).detail == refused.value.message
    log.positions.remove(56)
    assert (await PositionsProbe(holes).probe()).ok
    await holes.require_none()


async def test_many_who_ask_at_once_share_the_first_look() -> None:
    log = Positions(numbers((1, 1_000)))
    holes = LogHoles(log)
    await asyncio.gather(*[holes.require_none() for _ in range(64)])
    assert log.counted == 100
