"""The queries: read the request, ask, respond with rows and their validators for caches."""

from dataclasses import dataclass
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.mediator import QueryDispatcher
from application.ports.post_views import CommentKeyset, PostFilter, PostKey
from application.query_side.posts import GetPost, ListComments, ListPosts, PostDetail
from application.query_side.posts_as_of import GetPostAsOf
from domain.ids import CommentId, PostId
from entrypoints.http.conditional import has_tag, tag_of
from entrypoints.http.parameters import (
    AS_OF_PARAMETERS,
    COMMENTS_PARAMETERS,
    DEFAULT_ROWS,
    POSTS,
    POSTS_PARAMETERS,
    read_query,
)
from entrypoints.http.schemas import CommentPage, PostPage, comment_view, post_summary, post_view
from entrypoints.serving.errors import InvalidFields
from entrypoints.serving.formats import decode_cursor, encode_cursor
from entrypoints.serving.receiving import cancel_on_disconnect
from entrypoints.serving.request_context import RequestContext, context_of
from entrypoints.serving.responses import REVALIDATE, RawResponse, json_response
from entrypoints.serving.routing import HttpRequest, get_and_head, post_id_segment


@dataclass(frozen=True, slots=True)
class QueryEndpoints:
    queries: QueryDispatcher

    def handlers(self) -> list[HTTPRouteHandler]:
        return [
            get_and_head(POSTS)(self.list_posts),
            get_and_head(POSTS + "/{id:str}")(self.get_post),
            get_and_head(POSTS + "/{id:str}/comments")(self.list_comments),
        ]

    async def list_posts(self, request: HttpRequest) -> ASGIApp:
        asked = read_query(request.scope, POSTS_PARAMETERS)
        wanted = PostFilter(
            author=asked.get("author"), has_comments=asked.get("hasComments"), min_likes=asked.get("minLikes")
        )
        this_list = ("posts", wanted.author, wanted.has_comments, wanted.min_likes)
        page = await self.queries.ask(
            ListPosts(
                wanted=wanted,
                limit=asked.get("limit", DEFAULT_ROWS),
                after=_post_key(asked.get("cursor"), this_list),
                min_position=context_of(request.scope).min_position,
            )
        )
        cursor = encode_cursor(this_list, page.next.date_posted, page.next.post_id) if page.next else None
        content = PostPage(posts=[post_summary(row) for row in page.posts], next_cursor=cursor)
        parked = [(b"postlog-parked", b"%d" % page.parked)] if page.parked else []
        return json_response(200, content, [REVALIDATE, *parked])

    async def get_post(self, request: HttpRequest) -> ASGIApp:
        post_id = post_id_segment(request.scope)
        context = context_of(request.scope)
        newer_than = context.min_position  # checked even where unused: a post as it was comes from the log
        asked = read_query(request.scope, AS_OF_PARAMETERS)
        if asked:
            found = await cancel_on_disconnect(request, self.queries.ask(_as_of(post_id, asked)))
        else:
            found = await self.queries.ask(GetPost(post_id=post_id, min_position=newer_than))
        return _post_response(found, context)

    async def list_comments(self, request: HttpRequest) -> ASGIApp:
        post_id = post_id_segment(request.scope)
        asked = read_query(request.scope, COMMENTS_PARAMETERS)
        this_list = ("comments", post_id)
        page = await self.queries.ask(
            ListComments(
                post_id=post_id,
                limit=asked.get("limit", DEFAULT_ROWS),
                after=_comment_keyset(asked.get("cursor"), this_list),
                min_position=context_of(request.scope).min_position,
            )
        )
        cursor = encode_cursor(this_list, page.next.comment_date, page.next.comment_id) if page.next else None
        content = CommentPage(comments=[comment_view(row) for row in page.comments], next_cursor=cursor)
        return json_response(200, content, [REVALIDATE])


def _as_of(post_id: PostId, asked: dict[str, Any]) -> GetPostAsOf:
    if len(asked) > 1:
        raise InvalidFields(
            "Send either `version` or `at`, not both.",
            [(name, "can't be combined with the other one") for name in asked],
        )
    return GetPostAsOf(post_id=post_id, version=asked.get("version"), at=asked.get("at"))


def _post_response(found: PostDetail, context: RequestContext) -> RawResponse:
    response = json_response(200, post_view(found), [])
    tag = tag_of(found.post.version, response.body)
    validators = [(b"etag", tag), REVALIDATE]
    if has_tag(context, tag):
        return RawResponse(304, validators)
    return RawResponse(200, [*response.headers, *validators], response.body)


def _post_key(cursor: str | None, of: tuple[object, ...]) -> PostKey | None:
    if cursor is None:
        return None
    date, row_id = decode_cursor(cursor, of)
    return PostKey(date, PostId(row_id))


def _comment_keyset(cursor: str | None, of: tuple[object, ...]) -> CommentKeyset | None:
    if cursor is None:
        return None
    date, row_id = decode_cursor(cursor, of)
    return CommentKeyset(date, CommentId(row_id))
