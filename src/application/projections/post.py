"""The projection: how events become the rows of one post. Projector, rebuild, audit and time machine share it.

`PostFold` is what is known of a post while its commits are applied, one after the other: it changes in place, since a
rebuild applies millions of events and most of them add one to a number. It asks nobody for anything but the comments
that events name, so the same rows and events always lead to the same rows.

One post with all its comments, folded in memory: for what is not a batch (audit, repair, the post as it was).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self, assert_never

from application.envelopes import VersionedEvent
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
"""What there was of a comment before the fold began."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_LIVE = PostStatus.LIVE  # looked at for every event, and an enum's members are slow to get


COMMENT_EVENTS = (CommentAdded, CommentUpdated, CommentRemoved)
"""Those of which a fold asks for the comment that they name."""


class PostFold:
    """`version` is that of the last whole commit that was applied. `comments` holds those that events have named: each
    as it is now, None when it is there no more."""

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
        self._stand_at(row)

    @classmethod
    def begin(cls, post_id: PostId, stored_comment: StoredComment) -> Self:
        """Of a post that has no row yet."""
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

    def apply(self, events: Sequence[VersionedEvent], version: int) -> None:
        """A whole commit, which ends at stored version `version`, even if every event in it was dropped. Raises
        `EventNotApplicable`; the post is then as it was."""
        if len(events) == 1:
            self._evolve(events[0].event)
        elif events:
            self._evolve_together(events)
        self.version = version

    def comment(self, comment_id: CommentId) -> CommentRow | None:
        return self.comments[comment_id] if comment_id in self.comments else self.stored_comment(comment_id)

    def _stand_at(self, row: PostRow) -> None:
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

    def _evolve_together(self, events: Sequence[VersionedEvent]) -> None:
        """On a copy: any of them may turn out not to be applicable."""
        trial = PostFold(self.row, self.comment)
        for versioned in events:
            trial._evolve(versioned.event)
        self._stand_at(trial.row)
        self.comments.update(trial.comments)
        if trial.status is PostStatus.REMOVED:
            self.comments.clear()

    def _evolve(self, event: PostEvent) -> None:
        """Either all of it or, when it raises, nothing."""
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
        _require_storable(event, event.author, event.message)
        if self.status is not PostStatus.EMPTY:
            raise EventNotApplicable(f"PostCreated for post {self.post_id}, which exists already.")
        self.status = _LIVE
        self.author, self.date_posted, self.message = event.author, event.date_posted, event.message

    def _unlike(self) -> None:
        if not self.likes:
            raise EventNotApplicable(f"PostUnliked for post {self.post_id}, which has no likes.")
        self.likes -= 1

    def _add_comment(self, event: CommentAdded) -> None:
        _require_storable(event, event.username, event.comment)
        if self.comment(event.comment_id) is not None:
            raise EventNotApplicable(f"CommentAdded for comment {event.comment_id}, which exists already.")
        self.comments[event.comment_id] = CommentRow(
            self.post_id, event.comment_id, event.username, event.comment, event.comment_date, False
        )
        self.comments_count += 1

    def _update_comment(self, event: CommentUpdated) -> None:
        _require_storable(event, event.username, event.comment)
        before = self._known_comment(event)
        self.comments[event.comment_id] = before._replace(comment=event.comment, username=event.username, edited=True)

    def _known_comment(self, event: CommentUpdated | CommentRemoved) -> CommentRow:
        comment = self.comment(event.comment_id)
        if comment is None:
            raise EventNotApplicable(f"{type(event).__name__} for comment {event.comment_id}, which does not exist.")
        return comment


def _require_storable(event: PostEvent, *texts: str) -> None:
    """A text from another system may hold what not every database can; it must not stop the posts of others."""
    for text in texts:
        if not is_storable(text):
            raise EventNotApplicable(
                f"{type(event).__name__} holds a character that a read database can't: "
                "NUL, or half of a surrogate pair."
            )


class WholePost:
    """`post` is None before the first commit."""

    def __init__(self, post_id: PostId) -> None:
        self._fold = PostFold.begin(post_id, _none_stored)

    def copy(self) -> "WholePost":
        """On which more can be applied; this one stays as it is."""
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

    def apply(self, events: Sequence[VersionedEvent], version: int) -> None:
        """The events up to stored version `version`. Raises `EventNotApplicable`; the post is then as it was."""
        self._fold.apply(events, version)


def _none_stored(_: CommentId) -> None:
    return None
