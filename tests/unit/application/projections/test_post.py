"""How events become the rows of one post, event by event: the values of the rows, and which events are refused."""

from collections.abc import Sequence

import pytest

from application.errors import EventNotApplicable
from application.projections.post import PostFold, WholePost
from application.rows import CommentRow, PostRow, PostStatus
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
from given import COMMENT, COMMENTED, CREATED, LATER, NOON, OTHER_COMMENT, POST

LIKED = PostLiked(username="Bob")
UNLIKED = PostUnliked(username="Bob")
REMOVED = PostRemoved(username="Ann")
EDITED = MessageUpdated(message="New", username="Ann", edited_at=LATER)
COMMENT_EDITED = CommentUpdated(comment_id=COMMENT, comment="Better", username="bob", edit_date=LATER)
COMMENT_REMOVED = CommentRemoved(comment_id=COMMENT, username="Bob")
OTHER_COMMENTED = CommentAdded(comment_id=OTHER_COMMENT, comment="More", username="Cid", comment_date=LATER)

COMMENT_ROW = CommentRow(POST, COMMENT, "Bob", "Nice", NOON, False)
OTHER_ROW = CommentRow(POST, OTHER_COMMENT, "Cid", "More", LATER, False)


def live(message: str = "Hello", likes: int = 0, comments: int = 0, version: int = 1) -> PostRow:
    return PostRow(POST, PostStatus.LIVE, "Ann", NOON, message, likes, comments, version)


def tombstone(likes: int = 0, version: int = 1) -> PostRow:
    return PostRow(POST, PostStatus.REMOVED, "Ann", NOON, "", likes, 0, version)


def whole(*commits: Sequence[PostEvent]) -> WholePost:
    """Each commit ends at the version that is its number."""
    post = WholePost(POST)
    for version, events in enumerate(commits, start=1):
        post.apply(events, version)
    return post


HISTORIES: list[tuple[Sequence[PostEvent], PostRow, list[CommentRow]]] = [
    ([CREATED], live(), []),
    ([CREATED, LIKED, LIKED, UNLIKED], live(likes=1), []),
    ([CREATED, LIKED, UNLIKED], live(), []),
    ([CREATED, EDITED], live(message="New"), []),
    ([CREATED, COMMENTED], live(comments=1), [COMMENT_ROW]),
    ([CREATED, COMMENTED, OTHER_COMMENTED], live(comments=2), [COMMENT_ROW, OTHER_ROW]),
    (
        [CREATED, COMMENTED, COMMENT_EDITED],
        live(comments=1),
        [CommentRow(POST, COMMENT, "bob", "Better", NOON, True)],
    ),
    ([CREATED, COMMENTED, OTHER_COMMENTED, COMMENT_REMOVED], live(comments=1), [OTHER_ROW]),
    ([CREATED, COMMENTED, COMMENT_REMOVED, COMMENTED], live(comments=1), [COMMENT_ROW]),
    ([CREATED, LIKED, COMMENTED, REMOVED], tombstone(likes=1), []),
]


@pytest.mark.parametrize(("events", "row", "comments"), HISTORIES)
def test_a_history_leads_to_these_rows_in_one_commit_or_in_many(
    events: Sequence[PostEvent], row: PostRow, comments: list[CommentRow]
) -> None:
    together, one_by_one = whole(events), whole(*[[event] for event in events])
    assert (together.post, list(together.comments.values())) == (row, comments)
    assert one_by_one.post == row._replace(version=len(events))
    assert list(one_by_one.comments.values()) == comments
    assert (together.post_id, together.version, together.status) == (POST, 1, row.status)


def test_no_comment_outlives_its_post_whichever_commit_removes_it() -> None:
    assert whole([CREATED, COMMENTED], [LIKED, REMOVED]).comments == {}
    assert whole([CREATED, COMMENTED], [REMOVED]).comments == {}


def test_before_the_first_commit_there_is_no_post() -> None:
    assert (whole().post, whole().version, whole().status) == (None, 0, PostStatus.EMPTY)


def test_a_commit_of_which_every_event_was_dropped_moves_the_version_only() -> None:
    assert whole([CREATED], []).post == live(version=2)
    empty = whole([]).post
    assert empty is not None
    assert (empty.status, empty.author, empty.message, empty.likes, empty.comments_count, empty.version) == (
        PostStatus.EMPTY,
        "",
        "",
        0,
        0,
        1,
    )
    assert (empty.date_posted.timestamp(), empty.date_posted.utcoffset() is not None) == (0, True)


MISSING = f"for post {POST}, which does not exist or was removed."
NOT_STORED = "contains a character that a read database can't store: NUL, or an unpaired surrogate."

REFUSED: list[tuple[Sequence[PostEvent], PostEvent, str]] = [
    *(([], event, f"{type(event).__name__} {MISSING}") for event in (LIKED, UNLIKED, EDITED, COMMENTED, REMOVED)),
    *(([CREATED, REMOVED], event, f"{type(event).__name__} {MISSING}") for event in (LIKED, COMMENT_REMOVED, REMOVED)),
    ([CREATED], CREATED, f"PostCreated for post {POST}, which exists already."),
    ([CREATED, REMOVED], CREATED, f"PostCreated for post {POST}, which exists already."),
    ([CREATED, LIKED, UNLIKED], UNLIKED, f"PostUnliked for post {POST}, which has no likes."),
    ([CREATED, COMMENTED], COMMENTED, f"CommentAdded for comment {COMMENT}, which exists already."),
    ([CREATED], COMMENT_EDITED, f"CommentUpdated for comment {COMMENT}, which does not exist."),
    ([CREATED], COMMENT_REMOVED, f"CommentRemoved for comment {COMMENT}, which does not exist."),
    (
        [CREATED, COMMENTED, COMMENT_REMOVED],
        COMMENT_REMOVED,
        f"CommentRemoved for comment {COMMENT}, which does not exist.",
    ),
    ([], PostCreated(author="A\0", message="m", date_posted=NOON), f"PostCreated {NOT_STORED}"),
    ([], PostCreated(author="A", message="m\0", date_posted=NOON), f"PostCreated {NOT_STORED}"),
    ([CREATED], MessageUpdated(message="\ud800", username="Ann", edited_at=NOON), f"MessageUpdated {NOT_STORED}"),
    (
        [CREATED],
        CommentAdded(comment_id=COMMENT, comment="c", username="B\0", comment_date=NOON),
        f"CommentAdded {NOT_STORED}",
    ),
    (
        [CREATED],
        CommentAdded(comment_id=COMMENT, comment="c\0", username="B", comment_date=NOON),
        f"CommentAdded {NOT_STORED}",
    ),
    (
        [CREATED, COMMENTED],
        CommentUpdated(comment_id=COMMENT, comment="c\0", username="B", edit_date=NOON),
        f"CommentUpdated {NOT_STORED}",
    ),
    (
        [CREATED, COMMENTED],
        CommentUpdated(comment_id=COMMENT, comment="c", username="B\0", edit_date=NOON),
        f"CommentUpdated {NOT_STORED}",
    ),
]


@pytest.mark.parametrize(("events", "event", "message"), REFUSED)
def test_an_event_that_does_not_fit_is_refused_and_changes_nothing(
    events: Sequence[PostEvent], event: PostEvent, message: str
) -> None:
    post, untouched = whole(events), whole(events)
    with pytest.raises(EventNotApplicable) as refused:
        post.apply([event], 9)
    assert refused.value.message == message
    assert (post.post, post.comments) == (untouched.post, untouched.comments)


def test_a_commit_is_applied_whole_or_not_at_all() -> None:
    post, untouched = whole([CREATED, COMMENTED]), whole([CREATED, COMMENTED])
    with pytest.raises(EventNotApplicable):
        post.apply([LIKED, EDITED, COMMENT_REMOVED, OTHER_COMMENTED, OTHER_COMMENTED], 2)
    assert (post.post, post.comments) == (untouched.post, untouched.comments)


def test_a_copy_and_its_original_do_not_change_each_other() -> None:
    post = whole([CREATED, COMMENTED])
    copied = post.copy()
    copied.apply([LIKED, COMMENT_REMOVED], 2)
    post.apply([EDITED, OTHER_COMMENTED], 2)
    assert (copied.post, list(copied.comments.values())) == (live(likes=1, version=2), [])
    assert (post.post, list(post.comments.values())) == (
        live(message="New", comments=2, version=2),
        [COMMENT_ROW, OTHER_ROW],
    )


def test_a_fold_resumes_at_the_rows_of_an_earlier_one() -> None:
    before = whole([CREATED, COMMENTED])
    assert before.post is not None
    resumed = WholePost.of(before.post, before.comments.values())
    assert (resumed.post_id, resumed.comment(COMMENT), resumed.comment(OTHER_COMMENT)) == (POST, COMMENT_ROW, None)
    resumed.apply([COMMENT_REMOVED, OTHER_COMMENTED], 2)
    assert (resumed.post, list(resumed.comments.values())) == (live(comments=1, version=2), [OTHER_ROW])


def test_a_fold_and_its_copy_see_the_stored_comments() -> None:
    fold = PostFold(live(comments=1), {COMMENT: COMMENT_ROW}.get)
    copied = fold.copy()
    copied.apply([COMMENT_EDITED, COMMENT_REMOVED], 2)
    assert (fold.comment(COMMENT), fold.comments, fold.row) == (COMMENT_ROW, {}, live(comments=1))
    assert (copied.comment(COMMENT), copied.comments, copied.row) == (None, {COMMENT: None}, live(version=2))
