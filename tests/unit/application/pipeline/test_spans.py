"""What the bus did not bring is read from the log, for several partitions at once."""

from application.envelopes import Commit
from application.pipeline.assembling import PartitionReader
from application.pipeline.spans import Span, behind, hand_out
from application.ports.read_db import Checkpoint
from contracts.bus_handle import liked, post_id
from contracts.log_handle import RECORDED_AT

PAGE = [
    Commit(
        position=position,
        stream_id=post_id(partition),
        version=1,
        commit_id=f"c{position}",
        recorded_at=RECORDED_AT,
        metadata={},
        events=(liked(),),
    )
    for position, partition in [(11, 0), (12, 1), (13, 2), (14, 0), (15, 1)]
]


def span(partition: int, position: int, until: int) -> Span:
    checkpoint = Checkpoint(partition=partition, position=position, commit_position=1, commit_id="c1")
    return Span(PartitionReader(partition, 3, "log", "topic", checkpoint), until, 0)


def positions(commits: list[Commit]) -> list[int]:
    return [commit.position for commit in commits]


def test_only_commits_of_the_partition_are_handed_out() -> None:
    one = span(0, 10, 15)
    assert positions(hand_out(PAGE, {0: one}, 3)) == [11, 14]
    assert one.done
    assert one.reader.checkpoint() == Checkpoint(partition=0, position=15, commit_position=15, commit_id="c15")


def test_nothing_beyond_the_span_is_handed_out() -> None:
    one = span(0, 10, 13)
    assert positions(hand_out(PAGE, {0: one}, 3)) == [11]
    assert one.reader.checkpoint() == Checkpoint(partition=0, position=13, commit_position=13, commit_id="c13")


def test_a_span_longer_than_the_page_is_not_done() -> None:
    one = span(1, 10, 99)
    assert positions(hand_out(PAGE, {1: one}, 3)) == [12, 15]
    assert (one.done, one.reader.position) == (False, 15)


def test_several_partitions_each_get_what_they_lack() -> None:
    spans = {0: span(0, 10, 99), 1: span(1, 13, 99), 2: span(2, 10, 12)}
    assert behind(list(spans.values())) == (10, 99)
    assert positions(hand_out(PAGE, spans, 3)) == [11, 14, 15]
    assert [each.reader.position for each in spans.values()] == [15, 15, 12]
    assert behind(list(spans.values())) == (12, 99)


def test_at_the_log_s_end_nothing_moves() -> None:
    one = span(0, 10, 15)
    assert hand_out([], {0: one}, 3) == []
    assert one.reader.position == 10
