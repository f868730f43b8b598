"""Rows for queries from a read database in memory."""

from collections.abc import Iterable
from heapq import nlargest

from adapters.memory.read_db import MemoryReadDb
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp, Stamped
from application.rows import CommentRow, PostRow, PostStatus
from domain.ids import PostId
from domain.names import name_key

_NEWEST_COMMENTS = 100


class MemoryPostViews:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db

    async def post(self, post_id: PostId) -> Stamped[PostWithComments | None]:
        post = self._read_db.live_rows.live_post(post_id)
        if post is None:
            return Stamped(self._stamp(post_id), None)
        newest = _newest_comments(self._comments_of(post_id), _NEWEST_COMMENTS)
        return Stamped(self._stamp(post_id), PostWithComments(post, newest))

    async def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        matching = (post for post in self._read_db.live_rows.posts.values() if _matches(post, wanted))
        if after is not None:
            bound = (after.date_posted, after.post_id)
            matching = (post for post in matching if (post.date_posted, post.post_id) < bound)
        newest = nlargest(limit, matching, key=lambda post: (post.date_posted, post.post_id))
        return Stamped(self._stamp(), newest)

    async def comments(
        self, post_id: PostId, limit: int, after: CommentKeyset | None
    ) -> Stamped[list[CommentRow] | None]:
        if self._read_db.live_rows.live_post(post_id) is None:
            return Stamped(self._stamp(post_id), None)
        comments = self._comments_of(post_id)
        if after is not None:
            bound = (after.comment_date, after.comment_id)
            comments = [comment for comment in comments if (comment.comment_date, comment.comment_id) < bound]
        return Stamped(self._stamp(post_id), _newest_comments(comments, limit))

    async def stamp(self) -> Stamp:
        return self._stamp()

    def _comments_of(self, post_id: PostId) -> list[CommentRow]:
        return list(self._read_db.live_rows.comments[post_id].values())

    def _stamp(self, post_id: PostId | None = None) -> Stamp:
        live, parked = self._read_db.live, self._read_db.live_parked
        checkpoints = self._read_db.checkpoints[live.generation]
        positions = [checkpoints[number].position for number in range(live.partitions) if number in checkpoints]
        waiting = None if post_id is None else parked.get(post_id)
        return Stamp(
            generation=live.generation,
            ready=live.ready,
            position=min(positions) if len(positions) == live.partitions else 0,
            parked=len(parked),
            post_parked_at=None if waiting is None else waiting.position,
        )


def _newest_comments(comments: Iterable[CommentRow], limit: int) -> list[CommentRow]:
    return nlargest(limit, comments, key=lambda comment: (comment.comment_date, comment.comment_id))


def _matches(post: PostRow, wanted: PostFilter) -> bool:
    return (
        post.status is PostStatus.LIVE
        and (wanted.author is None or name_key(post.author) == name_key(wanted.author))
        and (wanted.has_comments is None or (post.comments_count > 0) is wanted.has_comments)
        and (wanted.min_likes is None or post.likes >= wanted.min_likes)
    )
