"""The projection: how events become the rows of one post. Projector, rebuild, audit and time travel share it.

`PostFold` applies the commits of a post in order. It is changed in place, because a rebuild applies millions of events
and most of them add one to a number. The only input beside row and events are the comments that the events name, so the
same rows and events always lead to the same rows. `WholePost` keeps all comments in memory, where there is no batch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self, assert_never

from application.errors import EventNotApplicable
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
from domain.ids import CommentId, PostId
from domain.rules import is_storable

StoredComment = Callable[[CommentId], CommentRow | None]
"""The row of a comment as it was before the fold began."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_LIVE = PostStatus.LIVE  # read for every event, and access to an enum's member is slow

COMMENT_EVENTS = (CommentAdded, CommentUpdated, CommentRemoved)
"""The events for which a fold reads the comment that they name."""


class PostFold:
    """`version` is that of the last whole commit that was applied. `comments` has the comments that events named: each
    as it is now, None if it was removed.
    """

    __slots__ = (*PostRow._fields, "comments", "stored_comment")

    post_id: PostId
    status: PostStatus
    author: str
    date_posted: datetime
    message: str
    likes: int
    comments_count: int
    version: int

    def __init__(self, row: PostRow, stored_comment: StoredComment) -> None:
        self.comments: dict[CommentId, CommentRow | None] = {}
        self.stored_comment = stored_comment
        self._set(row)

    @classmethod
    def begin(cls, post_id: PostId, stored_comment: StoredComment) -> Self:
        """For a post that has no row yet."""
        return cls(PostRow(post_id, PostStatus.EMPTY, "", _EPOCH, "", 0, 0, 0), stored_comment)

    def copy(self) -> "PostFold":
        copied = PostFold(self.row, self.stored_comment)
        copied.comments.update(self.comments)
        return copied

    @property
    def row(self) -> PostRow:
        return PostRow(
            self.post_id,
            self.status,
            self.author,
            self.date_posted,
            self.message,
            self.likes,
            self.comments_count,
            self.version,
        )

    def apply(self, events: Sequence[PostEvent], version: int) -> None:
        """Apply a whole commit, which ends at stored version `version`, even if every event in it was dropped. Raises
        `EventNotApplicable`, and leaves the post unchanged.
        """
        if len(events) == 1:
            self._evolve(events[0])
        elif events:
            self._evolve_together(events)
        self.version = version

    def comment(self, comment_id: CommentId) -> CommentRow | None:
        return self.comments[comment_id] if comment_id in self.comments else self.stored_comment(comment_id)

    def _set(self, row: PostRow) -> None:
        (
            self.post_id,
            self.status,
            self.author,
            self.date_posted,
            self.message,
            self.likes,
            self.comments_count,
            self.version,
        ) = row

    def _evolve_together(self, events: Sequence[PostEvent]) -> None:
        """On a copy, because any of them may not be applicable."""
        trial = PostFold(self.row, self.comment)
        for event in events:
            trial._evolve(event)
        self._set(trial.row)
        self.comments.update(trial.comments)
        if trial.status is PostStatus.REMOVED:
            self.comments.clear()

    def _evolve(self, event: PostEvent) -> None:
        """Applies the event whole, or raises and changes nothing."""
        if isinstance(event, PostCreated):
            self._create(event)
            return
        if self.status is not _LIVE:
            raise EventNotApplicable(
                f"{type(event).__name__} for post {self.post_id}, which does not exist or was removed."
            )
        match event:
            case PostLiked():
                self.likes += 1
            case CommentAdded():
                self._add_comment(event)
            case MessageUpdated():
                _require_storable(event, event.message)
                self.message = event.message
            case PostUnliked():
                self._unlike()
            case CommentUpdated():
                self._update_comment(event)
            case CommentRemoved():
                self._known_comment(event)
                self.comments[event.comment_id] = None
                self.comments_count -= 1
            case PostRemoved():
                self.status, self.message, self.comments_count = PostStatus.REMOVED, "", 0
                self.comments.clear()
            case _:
                assert_never(event)

    def _create(self, event: PostCreated) -> None:
        _require_storable(event, event.author + event.message)
        if self.status is not PostStatus.EMPTY:
            raise EventNotApplicable(f"PostCreated for post {self.post_id}, which exists already.")
        self.status = _LIVE
        self.author, self.date_posted, self.message = event.author, event.date_posted, event.message

    def _unlike(self) -> None:
        if not self.likes:
            raise EventNotApplicable(f"PostUnliked for post {self.post_id}, which has no likes.")
        self.likes -= 1

    def _add_comment(self, event: CommentAdded) -> None:
        _require_storable(event, event.username + event.comment)
        if self.comment(event.comment_id) is not None:
            raise EventNotApplicable(f"CommentAdded for comment {event.comment_id}, which exists already.")
        self.comments[event.comment_id] = CommentRow(
            self.post_id, event.comment_id, event.username, event.comment, event.comment_date, False
        )
        self.comments_count += 1

    def _update_comment(self, event: CommentUpdated) -> None:
        _require_storable(event, event.username + event.comment)
        before = self._known_comment(event)
        self.comments[event.comment_id] = before._replace(comment=event.comment, username=event.username, edited=True)

    def _known_comment(self, event: CommentUpdated | CommentRemoved) -> CommentRow:
        comment = self.comment(event.comment_id)
        if comment is None:
            raise EventNotApplicable(f"{type(event).__name__} for comment {event.comment_id}, which does not exist.")
        return comment


def _require_storable(event: PostEvent, texts: str) -> None:
    """A text from another system may contain what not every database can store; it must not block other posts."""
    if not is_storable(texts):
        raise EventNotApplicable(
            f"{type(event).__name__} contains a character that a read database can't store: "
            "NUL, or an unpaired surrogate."
        )


class WholePost:
    """One post with all its comments, folded in memory: for audit, repair, and the post as of a version. `post` is None
    before the first commit.
    """

    def __init__(self, post_id: PostId) -> None:
        self._fold = PostFold.begin(post_id, _none_stored)

    @classmethod
    def of(cls, row: PostRow, comments: Iterable[CommentRow]) -> Self:
        """As it was left by a fold that ended with this row and these comments."""
        whole = cls(row.post_id)
        whole._fold = PostFold(row, _none_stored)
        whole._fold.comments.update({comment.comment_id: comment for comment in comments})
        return whole

    def copy(self) -> "WholePost":
        """An independent copy."""
        copied = WholePost(self.post_id)
        copied._fold = self._fold.copy()
        return copied

    @property
    def post_id(self) -> PostId:
        return self._fold.post_id

    @property
    def post(self) -> PostRow | None:
        return self._fold.row if self._fold.version else None

    @property
    def comments(self) -> Mapping[CommentId, CommentRow]:
        return {key: comment for key, comment in self._fold.comments.items() if comment is not None}

    @property
    def version(self) -> int:
        return self._fold.version

    @property
    def status(self) -> PostStatus:
        return self._fold.status

    def comment(self, comment_id: CommentId) -> CommentRow | None:
        return self._fold.comment(comment_id)

    def apply(self, events: Sequence[PostEvent], version: int) -> None:
        """As `PostFold.apply`."""
        self._fold.apply(events, version)


def _none_stored(_: CommentId) -> None:
    return None
