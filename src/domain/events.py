"""What has happened to a post: the current shape of each event. Older shapes exist only as stored data and upcasters.

Events do not name their post: the stream they stand in does. A `username` of None means that the source did not
record one (an anonymous like, or an event of a system that kept no names).
"""

from dataclasses import dataclass
from datetime import datetime

from domain.ids import CommentId


@dataclass(frozen=True, slots=True, kw_only=True)
class PostCreated:
    author: str
    message: str
    date_posted: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageUpdated:
    message: str
    username: str | None
    edited_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLiked:
    username: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostUnliked:
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentAdded:
    comment_id: CommentId
    comment: str
    username: str
    comment_date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentUpdated:
    comment_id: CommentId
    comment: str
    username: str
    edit_date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentRemoved:
    comment_id: CommentId
    username: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRemoved:
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
