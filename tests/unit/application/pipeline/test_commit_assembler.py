"""A commit is taken from the bus only when it follows what the rows have, and only whole.

What the bus did not bring is read from the log, for several partitions at once.
"""

from dataclasses import replace

from application.envelopes import Commit, StoredEvent
from application.pipeline.commit_assembler import CommitAssembler, Gap, GapFill, log_range, missing_commits
from application.ports.bus import EventMessage, UnreadableMessage, WatermarkMessage
from application.ports.read_db import Checkpoint
from contracts.bus_handle import created, liked, post_id
from contracts.log_handle import RECORDED_AT

STANDING = Checkpoint(partition=0, position=10, commit_position=9, commit_id="c9", topic_id="topic", offset=100)


def assembler(checkpoint: Checkpoint | None = STANDING) -> CommitAssembler:
    return CommitAssembler(0, 3, "log", "topic", checkpoint)


def commit(position: int, *events: StoredEvent) -> Commit:
    return Commit(
        position=position,
        stream_id=post_id(0),
        version=4,
        commit_id=f"c{position}",
        recorded_at=RECORDED_AT,
        metadata={},
        events=events or (liked(),),
    )


def messages(commit: Commit, prev: int, offset: int) -> list[EventMessage]:
    size = len(commit.events)
    return [
        EventMessage(0, offset + i, "log", 3, prev, commit.position, i, size, commit._replace(events=(event,)))
        for i, event in enumerate(commit.events)
    ]


def message(position: int, prev: int, offset: int = 100) -> EventMessage:
    return messages(commit(position), prev, offset)[0]


def watermark(position: int, prev: int, offset: int = 100) -> WatermarkMessage:
    return WatermarkMessage(0, offset, "log", 3, prev, position)


def test_what_follows_is_taken_and_the_checkpoint_moves() -> None:
    at = assembler()
    assert at.take(message(12, prev=10)) == commit(12)
    assert at.checkpoint() == Checkpoint(
        partition=0, position=12, commit_position=12, commit_id="c12", topic_id="topic", offset=101
    )


def test_what_follows_an_earlier_position_is_taken_too() -> None:
    """A relay that restarts claims less than is known: its checkpoint is behind what it has sent."""
    assert assembler().take(message(12, prev=7)) == commit(12)


def test_what_was_seen_before_is_passed_over() -> None:
    at = assembler()
    assert at.take(message(10, prev=9)) is None
    assert (at.position, at.offset, at.repeated) == (10, 101, 1)


def test_before_a_message_that_does_not_follow_the_log_is_read_up_to_the_one_before_it() -> None:
    at = assembler()
    assert at.take(message(15, prev=13)) == Gap(13, "messages are missing")
    assert at.checkpoint() == STANDING
    at.read_from_log(13, commit(13))
    assert at.take(message(15, prev=13)) == commit(15)


def test_a_watermark_moves_the_position_and_keeps_the_last_commit() -> None:
    at = assembler()
    assert at.take(watermark(20, prev=10)) is None
    assert at.checkpoint() == Checkpoint(
        partition=0, position=20, commit_position=9, commit_id="c9", topic_id="topic", offset=101
    )


def test_a_watermark_shows_what_did_not_arrive() -> None:
    assert assembler().take(watermark(20, prev=12)) == Gap(12, "messages are missing")
    assert assembler().take(watermark(12, prev=12)) == Gap(12, "messages are missing")


def test_a_commit_of_several_events_is_taken_when_it_is_whole() -> None:
    whole = commit(12, created(), liked("ann"), liked("bob"))
    at = assembler()
    first, second, third = messages(whole, prev=10, offset=100)
    assert at.take(first) is None
    assert at.take(second) is None
    assert (at.position, at.offset) == (10, 100), "no checkpoint passes an unfinished commit"
    assert at.take(third) == whole
    assert (at.position, at.offset) == (12, 103)


def test_what_is_passed_over_within_an_unfinished_commit_does_not_move_the_offset() -> None:
    at = assembler()
    first, second = messages(commit(12, liked("ann"), liked("bob")), prev=10, offset=100)
    assert at.take(first) is None
    assert at.take(message(9, prev=8, offset=101)) is None
    assert at.offset == 100
    assert at.take(second._replace(offset=102)) == commit(12, liked("ann"), liked("bob"))
    assert at.offset == 103


def test_a_commit_that_restarts_is_assembled_again() -> None:
    """A relay died in the middle of it, and the next one sends it again."""
    whole = commit(12, liked("ann"), liked("bob"))
    at = assembler()
    first, second = messages(whole, prev=10, offset=100)
    assert at.take(first) is None
    assert at.take(first._replace(offset=101)) is None
    assert at.take(second._replace(offset=102)) == whole


def test_a_commit_whose_events_come_in_disorder_is_read_from_the_log() -> None:
    first, second, third = messages(commit(12, liked("a"), liked("b"), liked("c")), prev=10, offset=100)
    disorder = Gap(12, "the events of a commit are not in order")
    assert assembler().take(second) == disorder
    at = assembler()
    assert at.take(first) is None
    assert at.take(third) == disorder
    at.read_from_log(12, commit(12))
    assert at.take(third) is None
    assert (at.position, at.repeated) == (12, 1)


def test_an_event_that_comes_twice_within_its_commit_is_not_counted_twice() -> None:
    first, second = messages(commit(12, liked("a"), liked("b")), prev=10, offset=100)
    at = assembler()
    assert at.take(first) is None
    assert at.take(second._replace(commit_size=3)) is None
    assert at.take(second._replace(commit_size=3, offset=102)) == Gap(12, "the events of a commit are not in order")


def test_a_commit_that_stays_unfinished_is_read_from_the_log() -> None:
    at = assembler()
    first, _ = messages(commit(12, liked("a"), liked("b")), prev=10, offset=100)
    at.take(first)
    assert at.take(message(14, prev=12, offset=101)) == Gap(12, "messages are missing")
    at.take(first)
    assert at.take(watermark(20, prev=12, offset=101)) == Gap(12, "messages are missing")
    at.take(first)
    assert at.take(watermark(20, prev=10, offset=101)) == Gap(20, "the rest of a commit is missing")
    at.take(first)
    assert at.take(message(14, prev=10, offset=101)) == Gap(14, "the rest of a commit is missing")


def test_reading_from_the_log_forgets_a_commit_that_was_half_there() -> None:
    at = assembler()
    first, second = messages(commit(12, liked("a"), liked("b")), prev=10, offset=100)
    at.take(first)
    at.read_from_log(12, commit(12))
    assert at.take(second) is None
    assert at.position == 12


def test_a_damaged_message_is_read_from_the_log_if_it_has_its_position() -> None:
    damaged = UnreadableMessage(0, 100, "log", 12, "the value is not a JSON object")
    assert assembler().take(damaged) == Gap(12, "a message is unreadable: the value is not a JSON object")


def test_a_damaged_message_without_position_is_skipped() -> None:
    at = assembler()
    assert at.take(UnreadableMessage(0, 100, None, None, "the header ce_type is missing")) is None
    assert (at.position, at.offset) == (10, 101)


def test_messages_of_another_log_are_passed_over() -> None:
    at = assembler()
    assert at.take(message(11, prev=10)._replace(log_id="another")) is None
    assert at.take(watermark(50, prev=10, offset=101)._replace(log_id="another")) is None
    assert at.take(UnreadableMessage(0, 102, "another", 60, "damaged")) is None
    assert (at.position, at.offset, at.foreign) == (10, 103, 3)


def test_claims_for_another_number_of_partitions_are_ignored() -> None:
    gap = Gap(12, "a message was published when the topic had 2 partitions")
    assert assembler().take(message(12, prev=10)._replace(partitions=2)) == gap
    assert assembler().take(watermark(12, prev=10)._replace(partitions=2)) == gap


def test_a_message_that_the_log_does_not_reach_can_be_skipped() -> None:
    at = assembler()
    beyond = message(99, prev=98)
    assert at.take(beyond) == Gap(98, "messages are missing")
    at.skip(beyond)
    assert (at.position, at.offset) == (10, 101)


def test_an_empty_database_begins_before_the_first_position_at_no_offset() -> None:
    at = assembler(None)
    assert (at.position, at.offset) == (0, None)
    assert at.checkpoint() == Checkpoint(partition=0, position=0)


def test_an_offset_of_another_topic_counts_for_nothing() -> None:
    at = assembler(replace(STANDING, topic_id="the one before"))
    assert (at.position, at.offset) == (10, None)
    assert at.checkpoint() == Checkpoint(partition=0, position=10, commit_position=9, commit_id="c9")


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


def fill(partition: int, position: int, until: int) -> GapFill:
    checkpoint = Checkpoint(partition=partition, position=position, commit_position=1, commit_id="c1")
    return GapFill(CommitAssembler(partition, 3, "log", "topic", checkpoint), until, 0)


def positions(commits: list[Commit]) -> list[int]:
    return [commit.position for commit in commits]


def test_only_commits_of_the_partition_are_handed_out() -> None:
    one = fill(0, 10, 15)
    assert positions(missing_commits(PAGE, {0: one}, 3)) == [11, 14]
    assert one.done
    assert one.assembler.checkpoint() == Checkpoint(partition=0, position=15, commit_position=15, commit_id="c15")


def test_nothing_beyond_the_gap_is_handed_out() -> None:
    one = fill(0, 10, 13)
    assert positions(missing_commits(PAGE, {0: one}, 3)) == [11]
    assert one.assembler.checkpoint() == Checkpoint(partition=0, position=13, commit_position=13, commit_id="c13")


def test_a_gap_longer_than_the_page_is_not_done() -> None:
    one = fill(1, 10, 99)
    assert positions(missing_commits(PAGE, {1: one}, 3)) == [12, 15]
    assert (one.done, one.assembler.position) == (False, 15)


def test_several_partitions_each_get_what_they_lack() -> None:
    fills = {0: fill(0, 10, 99), 1: fill(1, 13, 99), 2: fill(2, 10, 12)}
    assert log_range(list(fills.values())) == (10, 99)
    assert positions(missing_commits(PAGE, fills, 3)) == [11, 14, 15]
    assert [each.assembler.position for each in fills.values()] == [15, 15, 12]
    assert log_range(list(fills.values())) == (12, 99)


def test_at_the_log_s_end_nothing_moves() -> None:
    one = fill(0, 10, 15)
    assert missing_commits([], {0: one}, 3) == []
    assert one.assembler.position == 10
