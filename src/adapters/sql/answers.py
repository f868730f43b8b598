"""What a reader is answered comes from one statement, so that it is of one moment in every engine, whatever happens to
the tables meanwhile. The statement brings one under the other the stamp, which tells the live slot, and the rows of the
slot that was believed to be live.

`tag` says what a row is:

    tag      post_id  comment_id  name      text     at            n1          n2              n3       n4
    STAMP                         slot                             generation  position        parked   ready
    PARKED   post_id                                               position
    POST     post_id              author    message  date_posted   likes       comments_count  version
    COMMENT  post_id  comment_id  username  comment  comment_date  edited
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy.exc import NoResultFound

from application.ports.post_views import Stamp
from application.ports.read_db import Slot
from application.rows import CommentRow, PostRow, PostStatus
from domain.ids import PostId


class Tag(IntEnum):
    STAMP = 0
    PARKED = 1
    POST = 2
    COMMENT = 3


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Posts and comments are newest first; `parked_at` has the position from which on a post asked for is parked."""

    slot: Slot
    stamp: Stamp
    parked_at: dict[PostId, int]
    posts: list[PostRow]
    comments: dict[PostId, list[CommentRow]]


def read_result(rows: Iterable[tuple[Any, ...]]) -> ReadResult:
    """Raises SQLAlchemy's `NoResultFound` when no row names the live slot."""
    stamps: list[tuple[Slot, Stamp]] = []
    parked_at: dict[PostId, int] = {}
    posts: list[PostRow] = []
    comments: defaultdict[PostId, list[CommentRow]] = defaultdict(list)
    for tag, post_id, comment_id, name, text, at, n1, n2, n3, n4 in rows:
        if tag == Tag.COMMENT:
            comments[post_id].append(CommentRow(post_id, comment_id, name, text, at, bool(n1)))
        elif tag == Tag.POST:
            posts.append(PostRow(post_id, PostStatus.LIVE, name, at, text, n1, n2, n3))
        elif tag == Tag.PARKED:
            parked_at[post_id] = n1
        else:
            stamps.append((name, Stamp(generation=n1, position=n2, parked=n3, ready=bool(n4))))
    posts.sort(key=_post_age, reverse=True)
    for of_post in comments.values():
        of_post.sort(key=_comment_age, reverse=True)
    if not stamps:
        raise NoResultFound
    [(slot, stamp)] = stamps
    return ReadResult(slot, stamp, parked_at, posts, dict(comments))


def _post_age(post: PostRow) -> tuple[object, ...]:
    return post.date_posted, post.post_id


def _comment_age(comment: CommentRow) -> tuple[object, ...]:
    return comment.comment_date, comment.comment_id
