"""What has happened to a post: the current shape of each event. Older shapes exist only as stored data and upcasters.

Events do not name their post: their stream does. A `username` of None means that the source did not record one (an
anonymous like, or an event of a system that recorded no names). The docstrings of the classes are published in the
event catalogue.
"""

from dataclasses import dataclass
from datetime import datetime

from domain.ids import CommentId


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCreated:
    """Somebody published a post: the first event of every post. Its author alone edits it."""

    author: str
    message: str
    date_posted: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageUpdated:
    """The author replaced the post's message."""

    message: str
    username: str | None
    edited_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLiked:
    """Somebody likes the post. A like without a username is anonymous, and counts every time."""

    username: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostUnliked:
    """Somebody who liked the post likes it no more."""

    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentAdded:
    """Somebody commented on the post."""

    comment_id: CommentId
    comment: str
    username: str
    comment_date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentUpdated:
    """The writer of a comment replaced its text."""

    comment_id: CommentId
    comment: str
    username: str
    edit_date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentRemoved:
    """The writer of a comment, or a moderator, removed it."""

    comment_id: CommentId
    username: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRemoved:
    """The author or a moderator removed the post, and its comments with it. No event follows."""

    username: str | None


PostEvent = (
    PostCreated
    | MessageUpdated
    | PostLiked
    | PostUnliked
    | CommentAdded
    | CommentUpdated
    | CommentRemoved
    | PostRemoved
)
