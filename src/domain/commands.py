"""What users request. A command carries everything that its decision needs, including ids and the time.

Times are aware, UTC, truncated to milliseconds. `username=None` in `LikePost` is an anonymous like. `caller` is the
authenticated user who sends the command; None: nobody verified the name, which is then believed.
"""

from dataclasses import dataclass
from datetime import datetime

from domain.callers import Caller
from domain.ids import CommentId, PostId


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePost:
    post_id: PostId
    author: str
    message: str
    date_posted: datetime
    caller: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMessage:
    post_id: PostId
    message: str
    username: str
    edited_at: datetime
    caller: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LikePost:
    post_id: PostId
    username: str | None
    caller: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlikePost:
    post_id: PostId
    username: str
    caller: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddComment:
    post_id: PostId
    comment_id: CommentId
    comment: str
    username: str
    comment_date: datetime
    caller: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditComment:
    post_id: PostId
    comment_id: CommentId
    comment: str
    username: str
    edit_date: datetime
    caller: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveComment:
    post_id: PostId
    comment_id: CommentId
    username: str
    caller: Caller | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePost:
    post_id: PostId
    username: str
    caller: Caller | None = None


PostCommand = CreatePost | EditMessage | LikePost | UnlikePost | AddComment | EditComment | RemoveComment | RemovePost
