"""The fold of a batch: version check, gaps, parking, and only changed rows."""

from datetime import UTC, datetime

import pytest

from application.envelopes import Commit, StoredEvent
from application.ports.read_db import ParkedStream, RowChanges, Rows
from application.projections.batch import (
    Lacks,
    MissingCommits,
    all_given,
    at_most,
    count_events,
    decode_all,
    fold_batch,
    not_known,
    row_keys_of,
    weight_of,
)
from application.rows import CommentRow, PostRow, PostStatus
from command_process import CODEC
from domain.events import (
    CommentAdded,
    CommentRemoved,
    CommentUpdated,
    MessageUpdated,
    PostCreated,
    PostEvent,
    PostLiked,
    PostRemoved,
    PostUnliked,
)
from domain.ids import PostId
from given import COMMENT, COMMENTED, CREATED, LATER, NOON, OTHER_COMMENT, POST

OTHER = PostId("0198c0de-0000-7000-8000-000000000002")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING = Rows({}, {}, {})
UNKNOWN = StoredEvent("PostShared", 1, {})


def commit(version: int, *events: PostEvent | StoredEvent, post: PostId = POST, position: int = 0) -> Commit:
    stored = tuple(e if isinstance(e, StoredEvent) else CODEC.encode([e])[0] for e in events)
    return Commit(
        position=position or version,
        stream_id=post,
        version=version,
        commit_id=f"commit {post} {version}",
        recorded_at=NOON,
        metadata={},
        events=stored,
    )


def fold(*commits: Commit, rows: Rows = NOTHING, unpark: bool = False, lacks: Lacks = not_known) -> RowChanges:
    return fold_batch(decode_all(commits, CODEC), rows, LATER, unpark, lacks)


def row(version: int, likes: int = 0, message: str = "Hello", comments: int = 0, post: PostId = POST) -> PostRow:
    return PostRow(post, PostStatus.LIVE, "Ann", NOON, message, likes, comments, version)


def parked(version: int, waiting: int, position: int = 2) -> ParkedStream:
    return ParkedStream(
        post_id=POST, version=version, position=position, waiting_version=waiting, code="c", reason="r", parked_at=NOON
    )


AT_VERSION_2 = Rows({POST: row(2)}, {}, {})
COMMENT_ROW = CommentRow(POST, COMMENT, "Bob", "Nice", NOON, False)


def test_a_history_becomes_one_row_with_its_last_version():
    changes = fold(
        commit(1, CREATED),
        commit(2, PostLiked(username="Bob"), PostLiked(username=None)),
        commit(4, PostUnliked(username="Bob")),
        commit(5, MessageUpdated(message="New", username="Ann", edited_at=LATER)),
        commit(6, COMMENTED),
    )

    assert changes.posts == [row(6, likes=1, message="New", comments=1)]
    assert changes.comments == [COMMENT_ROW]
    assert (changes.comments_removed, changes.cleared, changes.parked, changes.unparked) == ([], [], [], [])


def test_a_comment_is_edited_and_keeps_its_date():
    edited = CommentUpdated(comment_id=COMMENT, comment="Better", username="Bob", edit_date=LATER)
    rows = Rows({POST: row(2, comments=1)}, {(POST, COMMENT): COMMENT_ROW}, {})

    changes = fold(commit(3, edited), rows=rows)

    assert changes.comments == [CommentRow(POST, COMMENT, "Bob", "Better", NOON, True)]


def test_a_comment_added_and_removed_in_one_batch_leaves_nothing_to_write():
    changes = fold(
        commit(1, CREATED), commit(2, COMMENTED), commit(3, CommentRemoved(comment_id=COMMENT, username="Bob"))
    )

    assert (changes.comments, changes.comments_removed) == ([], [])
    assert changes.posts == [row(3)]


def test_a_removed_comment_of_the_database_is_removed():
    rows = Rows({POST: row(2, comments=1)}, {(POST, COMMENT): COMMENT_ROW}, {})

    changes = fold(commit(3, CommentRemoved(comment_id=COMMENT, username="Bob")), rows=rows)

    assert (changes.comments, changes.comments_removed) == ([], [(POST, COMMENT)])


def test_a_comment_that_is_as_it_was_is_not_written():
    edited = CommentUpdated(comment_id=COMMENT, comment="Nice", username="Bob", edit_date=LATER)
    rows = Rows({POST: row(2, comments=1)}, {(POST, COMMENT): COMMENT_ROW._replace(edited=True)}, {})

    changes = fold(commit(3, edited), rows=rows)

    assert (changes.posts, changes.comments) == ([row(3, comments=1)], [])


def test_a_removed_post_stays_as_a_tombstone_without_text_and_its_comments_go():
    rows = Rows({POST: row(2, likes=4, comments=1)}, {(POST, COMMENT): COMMENT_ROW}, {})
    more = CommentAdded(comment_id=OTHER_COMMENT, comment="More", username="Bob", comment_date=NOON)

    changes = fold(commit(3, more), commit(4, PostRemoved(username="Ann")), rows=rows)

    assert changes.posts == [PostRow(POST, PostStatus.REMOVED, "Ann", NOON, "", 4, 0, 4)]
    assert (changes.cleared, changes.comments) == ([POST], [])


def test_a_commit_that_was_applied_before_is_skipped():
    rows = Rows({POST: row(3)}, {}, {})

    changes = fold(commit(2, PostLiked(username="Bob"), PostLiked(username="Cid")), rows=rows)

    assert (changes.posts, changes.comments, changes.parked) == ([], [], [])


def test_of_redelivered_and_new_commits_the_new_ones_are_applied():
    changes = fold(commit(2, PostLiked(username="Bob")), commit(3, PostLiked(username="Cid")), rows=AT_VERSION_2)

    assert changes.posts == [row(3, likes=1)]


def test_a_redelivered_commit_without_events_parks_nothing():
    assert fold(commit(2), rows=AT_VERSION_2).parked == []


def test_the_log_is_asked_for_the_commit_after_the_row():
    asked = []

    def lacks(post_id: PostId, version: int) -> bool:
        asked.append((post_id, version))
        return True

    fold(commit(5, PostLiked(username="Bob")), rows=AT_VERSION_2, lacks=lacks)

    assert asked == [(POST, 2)]


def test_a_redelivered_creation_does_not_bring_a_removed_post_back():
    tombstone = PostRow(POST, PostStatus.REMOVED, "Ann", NOON, "", 0, 0, 2)

    assert fold(commit(1, CREATED), rows=Rows({POST: tombstone}, {}, {})).posts == []


def test_a_missing_commit_is_requested():
    rows = Rows({POST: row(3)}, {}, {})

    with pytest.raises(MissingCommits) as missing:
        fold(commit(5, PostLiked(username="Bob")), commit(2, PostLiked(username="Bob"), post=OTHER), rows=rows)

    assert missing.value.after == {POST: 3, OTHER: 0}
    assert str(missing.value) == "commits of 2 posts are missing"


def test_an_unreadable_event_parks_its_stream_and_does_not_block_others():
    other_created = commit(1, CREATED, post=OTHER, position=3)

    changes = fold(
        commit(1, CREATED), commit(2, UNKNOWN, position=2), other_created, commit(3, PostLiked(username="Bob"))
    )

    assert changes.posts == [row(1), row(1, post=OTHER)]
    (waiting,) = changes.parked
    assert (waiting.post_id, waiting.version, waiting.position, waiting.waiting_version) == (POST, 2, 2, 3)
    assert waiting.code == "event-not-readable"
    assert "PostShared" in waiting.reason
    assert waiting.parked_at == LATER


def test_an_event_that_can_not_be_applied_parks_its_stream_and_applies_nothing_of_its_commit():
    changes = fold(
        commit(1, CREATED), commit(2, PostLiked(username="Bob"), PostUnliked(username="Bob"), COMMENTED, COMMENTED)
    )

    assert changes.posts == [row(1)]
    assert changes.comments == []
    assert [each.code for each in changes.parked] == ["event-not-applicable"]


@pytest.mark.parametrize("text", ["nul\x00", "half \ud83d"])
def test_a_text_that_not_every_database_can_store_parks_only_its_post(text: str):
    stored = StoredEvent("MessageUpdated", 2, {"message": text, "username": "Ann", "editedAt": None})
    other = commit(1, CREATED, post=OTHER, position=3)

    changes = fold(commit(1, CREATED), commit(2, stored, position=2), other)

    assert changes.posts == [row(1), row(1, post=OTHER)]
    assert [(each.post_id, each.version) for each in changes.parked] == [(POST, 2)]


def test_later_events_of_a_parked_stream_wait_and_are_recorded():
    rows = Rows({POST: row(1)}, {}, {POST: parked(2, waiting=2)})

    commits = [commit(3, PostLiked(username="Bob"), PostLiked(username="Cid")), commit(5, PostLiked(username="Dan"))]

    changes = fold_batch(decode_all(commits, CODEC), rows, LATER)

    assert (changes.posts, changes.unparked) == ([], [])
    assert changes.parked == [parked(2, waiting=5)]
    known = Rows({POST: row(1)}, {}, {POST: parked(2, waiting=5)})
    assert fold_batch(decode_all(commits, CODEC), known, LATER).parked == []


def test_a_parked_stream_is_unparked_when_it_has_caught_up():
    rows = Rows({POST: row(1)}, {}, {POST: parked(2, waiting=3)})
    second, third = commit(2, PostLiked(username="Bob")), commit(3, PostLiked(username="Cid"))

    halfway = fold(second, rows=rows, unpark=True)
    done = fold(second, third, rows=rows, unpark=True)

    assert (halfway.posts, halfway.unparked) == ([row(2, likes=1)], [])
    assert (done.posts, done.unparked) == ([row(3, likes=2)], [POST])


@pytest.mark.parametrize(("version", "unparked"), [(3, [POST]), (4, [POST]), (2, [])])
def test_a_parked_stream_without_a_commit_in_the_batch_is_unparked_if_its_row_has_caught_up(
    version: int, unparked: list[PostId]
):
    rows = Rows({POST: row(version)}, {}, {POST: parked(2, waiting=3)})

    assert fold(commit(1, CREATED, post=OTHER), rows=rows, unpark=True).unparked == unparked
    assert fold(commit(1, CREATED, post=OTHER), rows=rows).unparked == []


def test_a_parked_stream_without_a_row_stays_parked_until_its_commits_come():
    rows = Rows({}, {}, {POST: parked(1, waiting=1)})

    assert fold(rows=rows, unpark=True).unparked == []
    assert fold(commit(1, CREATED), rows=rows, unpark=True).unparked == [POST]


def test_a_parked_stream_that_fails_again_is_parked_where_it_fails_now():
    rows = Rows({POST: row(1)}, {}, {POST: parked(2, waiting=5)})

    changes = fold(commit(2, PostLiked(username="Bob")), commit(3, UNKNOWN, position=9), rows=rows, unpark=True)

    assert (changes.posts, changes.unparked) == ([row(2, likes=1)], [])
    (waiting,) = changes.parked
    assert (waiting.version, waiting.position, waiting.waiting_version, waiting.parked_at) == (3, 9, 5, NOON)


def test_a_commit_that_overlaps_the_row_parks_its_post():
    changes = fold(commit(2, PostLiked(username="Bob"), PostLiked(username="Cid")), rows=Rows({POST: row(2)}, {}, {}))

    [waiting] = changes.parked
    assert waiting.code == "stream-damaged"
    assert "the commit at position 2 begins with version 2, but an earlier one ends with version 2" in waiting.reason


def test_a_post_is_parked_if_the_log_lacks_a_commit_and_the_reason_names_it():
    other = commit(1, CREATED, post=OTHER, position=4)

    changes = fold(commit(1, CREATED), commit(4, PostLiked(username="Bob"), position=3), other, lacks=all_given)

    assert changes.posts == [row(1), row(1, post=OTHER)]
    [waiting] = changes.parked
    assert (waiting.post_id, waiting.version, waiting.position, waiting.waiting_version) == (POST, 4, 3, 4)
    assert waiting.code == "stream-damaged"
    assert "versions 2 to 3 are missing before position 3" in waiting.reason


def test_a_post_is_parked_without_a_row_if_the_log_lacks_its_first_commit():
    changes = fold(commit(2, PostLiked(username="Bob")), lacks=all_given)

    assert changes.posts == []
    assert ["version 1 is missing" in each.reason for each in changes.parked] == [True]


def test_a_commit_without_events_parks_its_post():
    changes = fold(commit(1, CREATED), commit(2), commit(3, PostLiked(username="Bob")))

    assert changes.posts == [row(1)]
    [waiting] = changes.parked
    assert (waiting.version, waiting.waiting_version, waiting.code) == (2, 3, "stream-damaged")
    assert "version 2 is missing: the commit at position 2 has no event" in waiting.reason


def test_a_commit_without_events_waits_itself_if_none_follows():
    [waiting] = fold(commit(1, CREATED), commit(2)).parked

    assert (waiting.version, waiting.waiting_version) == (2, 2)


def test_each_row_of_a_batch_is_named_once():
    row_keys = row_keys_of(decode_all([commit(1, CREATED), commit(2, COMMENTED), commit(3, COMMENTED)], CODEC))

    assert (row_keys.posts, row_keys.comments) == ([POST], [(POST, COMMENT)])


@pytest.mark.parametrize(("length", "weight"), [(0, 1), (200, 2), (1_000, 6), (4_000, 21)])
def test_a_long_event_counts_as_several(length: int, weight: int) -> None:
    created = PostCreated(author="Ann", message="x" * length, date_posted=NOON)
    stored, plain = commit(1, created), commit(1, StoredEvent("PostCreated", 1, CODEC.encode([created])[0].data))
    assert (weight_of(stored), weight_of(plain)) == (weight, weight)
    assert at_most([stored] * 3, 2 * weight) == [stored] * 2


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [([], 0), ([3, 2, 1], 2), ([2, 2, 2], 2), ([5, 1], 1), ([6, 1], 1), ([7], 1), ([1, 6], 1), ([1, 1, 1], 3)],
)
def test_a_transaction_takes_commits_up_to_its_events_and_at_least_one(sizes: list[int], taken: int) -> None:
    commits = [commit(number, *[PostLiked(username=None)] * size) for number, size in enumerate(sizes, start=1)]
    assert at_most(commits, 5) == commits[:taken]
    assert at_most(commits) == commits
    assert count_events(decode_all(commits, CODEC)) == sum(sizes)
