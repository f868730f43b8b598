"""Whether rows belong to a log, told by the commits at their checkpoints; also while reads of the log lag."""

import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog
from application.envelopes import Commit
from application.errors import WrongLog
from application.ports.read_db import Checkpoint, LiveGeneration
from application.projections.log_match import commit_at, require_match
from contracts.log_handle import POST_A, commit_id, proposed


class Lagging(MemoryCommitLog):
    """As a primary just after its election: reads end at position 2 until it has proven where the log ends."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.proofs = 0

    async def proven_tip(self) -> int:
        self.proofs += 1
        return await super().proven_tip()

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
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
    await require_match(live, checkpoints, log)


async def test_a_commit_that_a_lagging_read_does_not_show_is_not_believed_to_be_gone(log: Lagging) -> None:
    await match(log, at(1), at(3))
    assert log.proofs == 1


async def test_what_a_read_shows_needs_no_proof(log: Lagging) -> None:
    await match(log, at(1), at(2))
    assert log.proofs == 0


async def test_a_commit_beyond_the_proven_tip_is_gone(log: Lagging) -> None:
    with pytest.raises(WrongLog, match="at position 4, which the log does not have there"):
        await match(log, at(4))
    assert log.proofs == 1


async def test_another_commit_in_its_place_is_no_lag(log: Lagging) -> None:
    with pytest.raises(WrongLog, match="the log was restored to an older state"):
        await match(log, at(2, "another commit"))
    assert log.proofs == 0


async def test_a_commit_is_found_by_its_position_though_reads_lag(log: Lagging) -> None:
    found = await commit_at(3, log)
    assert found is not None
    assert found.commit_id == commit_id("commit 3")
    assert await commit_at(4, log) is None
