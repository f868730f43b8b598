"""Queries answered from the rows of the read database: one post, a list of posts, the comments of a post.

`min_position` is read-your-writes: the rows are at least that new, or the query raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from application.mediator import Query, QueryDispatcher
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostViews
from application.query_side.freshness import Freshness
from application.rows import CommentRow, PostRow
from domain.errors import PostNotFound
from domain.ids import PostId


@dataclass(frozen=True, slots=True, kw_only=True)
class PostDetail:
    """A live post with the newest 100 of its comments, newest first."""

    post: PostRow
    comments: Sequence[CommentRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostsPage:
    """`next` is None on the last page. `parked` counts posts that may be missing here, or old."""

    posts: Sequence[PostRow]
    next: PostKey | None
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentsPage:
    comments: Sequence[CommentRow]
    next: CommentKeyset | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetPost(Query[PostDetail]):
    """Raises `PostNotFound` for an unknown or removed post, `NotYetVisible`, `PositionBeyondLog`, `PostParked`,
    `ReadDbNotReady`."""

    post_id: PostId
    min_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPosts(Query[PostsPage]):
    """Newest first. Raises `NotYetVisible`, `PositionBeyondLog`, `ReadDbNotReady`."""

    wanted: PostFilter
    limit: int
    after: PostKey | None = None
    min_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListComments(Query[CommentsPage]):
    """Newest first. Raises as `GetPost`."""

    post_id: PostId
    limit: int
    after: CommentKeyset | None = None
    min_position: int | None = None


class PostQueries:
    def __init__(self, views: PostViews, freshness: Freshness) -> None:
        self._views = views
        self._freshness = freshness

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(GetPost, self.get_post)
        dispatcher.register(ListPosts, self.list_posts)
        dispatcher.register(ListComments, self.list_comments)

    async def get_post(self, query: GetPost) -> PostDetail:
        found = await self._freshness.read(lambda: self._views.post(query.post_id), query.min_position)
        if found.value is None:
            raise no_such_post(query.post_id)
        return PostDetail(post=found.value.post, comments=found.value.comments)

    async def list_posts(self, query: ListPosts) -> PostsPage:
        found = await self._freshness.read(
            lambda: self._views.posts(query.wanted, query.limit + 1, query.after), query.min_position
        )
        posts, more = found.value[: query.limit], len(found.value) > query.limit
        end = PostKey(posts[-1].date_posted, posts[-1].post_id) if more else None
        return PostsPage(posts=posts, next=end, parked=found.stamp.parked)

    async def list_comments(self, query: ListComments) -> CommentsPage:
        found = await self._freshness.read(
            lambda: self._views.comments(query.post_id, query.limit + 1, query.after), query.min_position
        )
        if found.value is None:
            raise no_such_post(query.post_id)
        comments, more = found.value[: query.limit], len(found.value) > query.limit
        end = CommentKeyset(comments[-1].comment_date, comments[-1].comment_id) if more else None
        return CommentsPage(comments=comments, next=end)


def no_such_post(post_id: PostId) -> PostNotFound:
    return PostNotFound(f"There is no post {post_id}, or it was removed.", path="id")
