"""What is said of each commit is true of the log."""

from application.envelopes import Commit
from application.pipeline.announcing import Announcer
from application.ports.bus import CommitEntry, Publication, Watermark
from contracts.bus_handle import liked, post_id
from contracts.log_handle import RECORDED_AT
from domain.ids import PostId


def commit(position: int, stream: PostId) -> Commit:
    return Commit(
        position=position,
        stream_id=stream,
        version=1,
        commit_id=f"commit-{position}",
        recorded_at=RECORDED_AT,
        metadata={},
        events=(liked(),),
    )


def test_each_commit_names_the_position_that_was_sent_to_its_partition_before() -> None:
    first, second, third = commit(11, post_id(0)), commit(12, post_id(1)), commit(13, post_id(0))
    announcer = Announcer("log", 3, 10)
    assert announcer.commits([first, second, third]) == [
        CommitEntry(0, 10, first),
        CommitEntry(1, 10, second),
        CommitEntry(0, 11, third),
    ]
    assert announcer.position == 13


def test_partitions_that_got_nothing_are_told_how_far_the_log_is_published() -> None:
    announcer = Announcer("log", 3, 10)
    announcer.commits([commit(11, post_id(0)), commit(12, post_id(1))])
    assert not announcer.level
    assert announcer.watermarks() == [Watermark(0, 11, 12), Watermark(2, 10, 12)]
    assert announcer.level
    assert announcer.watermarks() == []


def test_a_commit_behind_a_watermark_follows_the_watermark() -> None:
    announcer = Announcer("log", 3, 0)
    announcer.commits([commit(1, post_id(0))])
    announcer.watermarks()
    second = commit(2, post_id(1))
    assert announcer.commits([second]) == [CommitEntry(1, 1, second)]


def test_every_partition_is_reminded_though_nothing_is_new() -> None:
    announcer = Announcer("log", 3, 10)
    announcer.commits([commit(11, post_id(2))])
    assert announcer.reminders() == [Watermark(0, 10, 11), Watermark(1, 10, 11), Watermark(2, 11, 11)]
    assert announcer.reminders() == [Watermark(0, 11, 11), Watermark(1, 11, 11), Watermark(2, 11, 11)]


def test_a_publication_names_the_log_and_the_number_of_partitions() -> None:
    announcer = Announcer("log", 3, 10)
    assert announcer.publication(announcer.reminders()[:1]) == Publication("log", 3, [Watermark(0, 10, 10)])
