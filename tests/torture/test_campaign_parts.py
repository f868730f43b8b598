"""The seed decides the faults, and what is read from servers is compared with the log."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from application.envelopes import Commit, StoredEvent
from application.ports.read_db import Checkpoint, LiveGeneration
from application.rows import PostRow, PostStatus
from domain.ids import PostId
from simulation.checker import History, Violation
from torture.faults import WEIGHTS, draw_faults
from torture.stored import RowsSeen, Snapshot

POST = PostId("0198c0de-0000-7000-8000-000000000001")
NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ROW = PostRow(POST, PostStatus.LIVE, "Ann", NOON, "Hello", 0, 0, 1)


def commit(position: int, version: int, event: StoredEvent) -> Commit:
    return Commit(position, POST, version, f"commit {position}", NOON, {}, (event,))


def history() -> History:
    history = History()
    created = {"author": "Ann", "message": "Hello", "datePosted": "2026-11-30T12:00:00.000Z"}
    liked = commit(2, 2, StoredEvent("PostLiked", 2, {"username": None}))
    history.add([commit(1, 1, StoredEvent("PostCreated", 1, created)), liked], 0.0)
    return history


def snapshot(position: int = 1, row: PostRow = ROW) -> Snapshot:
    live = LiveGeneration(generation=1, slot="a", log_id=None, partitions=1, ready=True)
    named = f"commit {position}" if position else ""
    checkpoint = Checkpoint(partition=0, position=position, commit_position=position, commit_id=named)
    return Snapshot(live, {0: checkpoint}, {POST: row}, {}, {})


def test_a_seed_and_a_round_give_the_same_faults_and_all_kinds_are_drawn():
    assert draw_faults(Random("1 round 1"), 20, 20.0) == draw_faults(Random("1 round 1"), 20, 20.0)
    drawn = Counter(fault.kind for number in range(60) for fault in draw_faults(Random(f"1 round {number}"), 20, 20.0))
    assert drawn.keys() == WEIGHTS.keys()


def test_rows_that_are_the_fold_of_the_log_pass():
    seen = RowsSeen()
    seen.check(history(), [snapshot(), snapshot(), snapshot(2, ROW._replace(likes=1, version=2))])
    assert (seen.position, seen.checked) == (2, 2)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (snapshot(row=ROW._replace(likes=1)), "the row is"),
        (snapshot(row=ROW._replace(version=3)), "which ends no commit"),
        (snapshot(2), "claims version 2"),
        (snapshot(0), "the rows went back from 1 to 0"),
        (replace(snapshot(), comments={PostId("another"): {}}), "that have no row"),
        (replace(snapshot(), checkpoints={0: Checkpoint(partition=0, position=3)}), "beyond the log"),
    ],
)
def test_rows_that_differ_from_the_log_are_a_violation(wrong, sentence):
    seen = RowsSeen()
    seen.check(history(), [snapshot()])
    with pytest.raises(Violation, match=sentence):
        seen.check(history(), [wrong])
