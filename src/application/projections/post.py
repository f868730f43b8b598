"""The pure projection: `evolve(rows, event) -> rows`. Projector, rebuild, audit and time machine share it.

An event touches its post's row and at most one comment, the one it names.
"""

from datetime import UTC, datetime
from typing import NamedTuple, assert_never

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


class Projected(NamedTuple):
    """The post, and the comment that the event names (None: there is none, or none any more)."""

    post: PostRow | None
    comment: CommentRow | None


def touched_comment(event: PostEvent) -> CommentId | None:
    """Which comment `evolve` wants to be handed."""
    return event.comment_id if isinstance(event, CommentAdded | CommentUpdated | CommentRemoved) else None


def evolve(post_id: PostId, post: PostRow | None, comment: CommentRow | None, event: PostEvent) -> Projected:
    """Raises `EventNotApplicable`. The version is not its business: `seal` notes it when a whole commit is applied."""
    if isinstance(event, PostLiked) and post is not None and post.status is PostStatus.LIVE:
        return Projected(post._replace(likes=post.likes + 1), comment)
    _require_storable(event)
    if isinstance(event, PostCreated):
        if post is not None and post.status is not PostStatus.EMPTY:
            raise EventNotApplicable(f"PostCreated for post {post_id}, which exists already.")
        return Projected(
            PostRow(post_id, PostStatus.LIVE, event.author, event.date_posted, event.message, 0, 0, 0), None
        )
    if post is None or post.status is not PostStatus.LIVE:
        raise EventNotApplicable(f"{type(event).__name__} for post {post_id}, which does not exist or was removed.")
    return _evolve_live(post, comment, event)


def _require_storable(event: PostEvent) -> None:
    """A text from another system may hold what not every database can; it must not stop the posts of others."""
    if isinstance(event, PostCreated):
        texts = [event.author, event.message]
    elif isinstance(event, MessageUpdated):
        texts = [event.message]
    elif isinstance(event, CommentAdded | CommentUpdated):
        texts = [event.username, event.comment]
    else:
        return
    if not all(is_storable(text) for text in texts):
        raise EventNotApplicable(
            f"{type(event).__name__} holds a character that a read database can't: NUL, or half of a surrogate pair."
        )


def _evolve_live(
    post: PostRow,
    comment: CommentRow | None,
    event: MessageUpdated | PostLiked | PostUnliked | CommentAdded | CommentUpdated | CommentRemoved | PostRemoved,
) -> Projected:
    match event:
        case MessageUpdated():
            return Projected(post._replace(message=event.message), comment)
        case PostLiked():
            return Projected(post._replace(likes=post.likes + 1), comment)
        case PostUnliked():
            if not post.likes:
                raise EventNotApplicable(f"PostUnliked for post {post.post_id}, which has no likes.")
            return Projected(post._replace(likes=post.likes - 1), comment)
        case PostRemoved():
            return Projected(post._replace(status=PostStatus.REMOVED, message="", comments_count=0), None)
        case CommentAdded() | CommentUpdated() | CommentRemoved():
            return _evolve_comment(post, comment, event)
        case _:
            assert_never(event)


def _evolve_comment(
    post: PostRow, comment: CommentRow | None, event: CommentAdded | CommentUpdated | CommentRemoved
) -> Projected:
    if isinstance(event, CommentAdded):
        if comment is not None:
            raise EventNotApplicable(f"CommentAdded for comment {event.comment_id}, which exists already.")
        added = CommentRow(post.post_id, event.comment_id, event.username, event.comment, event.comment_date, False)
        return Projected(post._replace(comments_count=post.comments_count + 1), added)
    if comment is None:
        raise EventNotApplicable(f"{type(event).__name__} for comment {event.comment_id}, which does not exist.")
    if isinstance(event, CommentUpdated):
        return Projected(post, comment._replace(comment=event.comment, username=event.username, edited=True))
    return Projected(post._replace(comments_count=post.comments_count - 1), None)


def seal(post_id: PostId, post: PostRow | None, version: int) -> PostRow:
    """The row after a whole commit, with the commit's last stored version, even if every event in it was dropped."""
    return post._replace(version=version) if post is not None else _empty(post_id, version)


def _empty(post_id: PostId, version: int) -> PostRow:
    return PostRow(post_id, PostStatus.EMPTY, "", datetime.fromtimestamp(0, UTC), "", 0, 0, version)
