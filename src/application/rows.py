"""The rows that queries return. No rule is decided on rows."""

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from domain.ids import CommentId, PostId


class PostStatus(IntEnum):
    """A removed post stays as a tombstone, so that a redelivered event can't bring it back. EMPTY: upcasters dropped
    every event of the stream so far, so there is nothing to show, but a version.
    """

    EMPTY = 0
    LIVE = 1
    REMOVED = 2


class PostRow(NamedTuple):
    """One post. `version` is the stream's version in this row: that of the last event of a whole commit."""

    post_id: PostId
    status: PostStatus
    author: str
    date_posted: datetime
    message: str
    likes: int
    comments_count: int
    version: int


class CommentRow(NamedTuple):
    """One comment that is not removed. An edit does not change `comment_date`."""

    post_id: PostId
    comment_id: CommentId
    username: str
    comment: str
    comment_date: datetime
    edited: bool


CommentKey = tuple[PostId, CommentId]
