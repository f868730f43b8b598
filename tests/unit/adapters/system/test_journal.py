"""When steps were taken in this process, and nothing that is not known."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from adapters.system import journal as module
from adapters.system.journal import LocalJournal

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch):
    """`at(3)`: it is three seconds past noon."""

    def set_to(seconds: float) -> None:
        now = (NOON + timedelta(seconds=seconds)).timestamp()
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now))

    set_to(0)
    return set_to


def test_each_step_has_its_time(at):
    journal = LocalJournal()
    for seconds, note in enumerate(
        (
            lambda: journal.record_received("a"),
            lambda: journal.record_durable(4, 9),
            lambda: journal.record_published(3, 9),
            lambda: journal.record_projected(1, 2, 7),
        )
    ):
        at(seconds)
        note()
    times = journal.times("a", 5, 1)
    assert [times.received, times.durable, times.published, times.projected] == [
        NOON + timedelta(seconds=seconds) for seconds in range(4)
    ]


@pytest.mark.parametrize("position", [3, 10])
def test_a_batch_stands_for_its_own_positions_only(at, position: int):
    journal = LocalJournal()
    journal.record_received("a")
    journal.record_durable(4, 9)
    journal.record_published(3, 9)
    journal.record_projected(0, 3, 9)
    times = journal.times("a", position, 0)
    assert (times.durable, times.published, times.projected) == (None, None, None)


def test_a_write_of_this_process_is_no_proof_for_another_one_s_commit_between(at):
    journal = LocalJournal()
    journal.record_durable(4, 9)
    assert journal.times("of another process", 5, 0).durable is None


def test_partitions_are_projected_each_for_itself(at):
    journal = LocalJournal()
    journal.record_projected(0, 0, 9)
    assert journal.times("a", 5, 1).projected is None


def test_what_is_done_again_was_done_the_first_time(at):
    journal = LocalJournal()
    journal.record_received("a")
    journal.record_published(0, 9)
    at(60)
    journal.record_received("a")
    journal.record_published(0, 9)
    times = journal.times("a", 5, 0)
    assert (times.received, times.published) == (NOON, NOON)


def test_a_checkpoint_that_stays_says_nothing(at):
    journal = LocalJournal()
    journal.record_projected(0, 5, 5)
    assert journal.times("a", 5, 0).projected is None


def test_only_the_last_ones_are_kept(at):
    journal = LocalJournal(commands=2, marks=2)
    for number in range(4):
        journal.record_received(f"command {number}")
        journal.record_published(number, number + 1)
    known = [number for number in range(4) if journal.times(f"command {number}", 99, 0).received]
    published = [position for position in range(1, 5) if journal.times("", position, 0).published]
    assert (known, published) == ([2, 3], [3, 4])
