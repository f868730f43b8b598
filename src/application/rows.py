"""The rows that readers are answered from. Rows are answers to readers, not rules."""

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from domain.ids import CommentId, PostId


class PostStatus(IntEnum):
    """A removed post stays as a tombstone, so that a redelivered event can't bring it back. EMPTY is a stream of which
    every event so far was dropped by an upcaster: there is nothing to show, but its version counts."""

    EMPTY = 0
    LIVE = 1
    REMOVED = 2


class PostRow(NamedTuple):
    """One post. `version` is the stream version that the row shows: that of the last event of a whole commit."""

    post_id: PostId
    status: PostStatus
    author: str
    date_posted: datetime
    message: str
    likes: int
    comments_count: int
    version: int


class CommentRow(NamedTuple):
    """One comment that was not removed. `comment_date` stays that of the first writing when it is edited."""

    post_id: PostId
    comment_id: CommentId
    username: str
    comment: str
    comment_date: datetime
    edited: bool


CommentKey = tuple[PostId, CommentId]
