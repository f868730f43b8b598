"""`/posts/{id}`: a post with its comments and events, likes, and earlier versions of the post: `?version=n`."""

from dataclasses import dataclass
from typing import Any

from litestar.types import ASGIApp

from application.errors import StreamDamaged
from application.ports.post_views import CommentKeyset
from application.query_side.history import CountEvents, ListEvents
from application.query_side.posts import GetPost, ListComments
from application.rows import CommentRow
from domain.commands import LikePost, UnlikePost
from domain.errors import PostNotFound
from domain.ids import CommentId, PostId
from domain.names import name_key
from entrypoints.serving.formats import decode_cursor, encode_cursor
from entrypoints.serving.receiving import cancel_on_disconnect
from entrypoints.serving.routing import post_id_segment
from entrypoints.web.form_commands import author_of, redirect_to_post, send
from entrypoints.web.page_request import PageRequest, Route
from entrypoints.web.post_history import post_as_of, timeline
from entrypoints.web.services import WebServices

_COMMENTS = 20
_EVENTS_READ_FOR_LIKE = 500


@dataclass(frozen=True, slots=True)
class PostPage:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/posts/{id:str}", show=self.show),
            Route("/posts/{id:str}/likes", submit=self.like),
            Route("/posts/{id:str}/unlike", submit=self.unlike),
        ]

    async def show(self, request: PageRequest) -> ASGIApp:
        """The current post, from its row; with `?version=n` that version of it, from the log. Of a removed post, the
        last version is shown."""
        post_id = post_id_segment(request.scope)
        last = await self.services.queries.ask(CountEvents(post_id))
        asked = request.number("version", low=1)
        live = await self._live(request, post_id) if asked is None else None
        version = live["post"].version if live else min(asked or last, last)
        past = None
        if live is None:
            past = await cancel_on_disconnect(request.http, post_as_of(self.services.queries, post_id, version))
        window = await timeline(self.services.queries, post_id, last, version, request.number("events"))
        return await request.page(
            "post.html",
            post_id=post_id,
            last=last,
            version=version,
            is_past=asked is not None,
            past=past,
            timeline=window,
            liked=await self._liked(request, post_id, last) if live else None,
            **(live or {"post": past.shown if past else None, "comments": [], "older_comments": None}),
        )

    async def like(self, request: PageRequest) -> ASGIApp:
        """As the chosen name, or without a name."""
        form = await request.form()
        username = None if form.text("anonymous") else request.username
        command = LikePost(post_id=post_id_segment(request.scope), username=username)
        return await redirect_to_post(request, await send(request, command, form, username))

    async def unlike(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        username = author_of(request, form)
        command = UnlikePost(post_id=post_id_segment(request.scope), username=username)
        return await redirect_to_post(request, await send(request, command, form, username))

    async def _live(self, request: PageRequest, post_id: PostId) -> dict[str, Any] | None:
        """None when there is no row: the post was removed, or the rows do not have it yet."""
        try:
            found = await self.services.queries.ask(GetPost(post_id=post_id, min_position=request.position))
            comments, older = await self._comments(request, post_id)
        except PostNotFound:
            return None
        return {"post": found.post, "comments": comments, "older_comments": older}

    async def _liked(self, request: PageRequest, post_id: PostId, last: int) -> bool | None:
        """Whether the chosen name likes the post, according to the post's last events, because rows do not have the
        names. None when these do not reach back far enough, or no name was chosen."""
        if request.username is None or request.services.commands is None:
            return None
        begin, key = max(0, last - _EVENTS_READ_FOR_LIKE), name_key(request.username)
        try:
            page = await self.services.queries.ask(
                ListEvents(post_id=post_id, limit=_EVENTS_READ_FOR_LIKE, after=begin)
            )
        except StreamDamaged:  # commands on the post report it
            return None
        if page.next_after is not None:
            return None
        for event in reversed(page.events):
            username = event.data.get("username")
            if event.type in ("PostLiked", "PostUnliked") and username and name_key(username) == key:
                return event.type == "PostLiked"
        return None if begin else False

    async def _comments(self, request: PageRequest, post_id: PostId) -> tuple[list[CommentRow], str | None]:
        """One page of comments, newest first, and the cursor of the next page."""
        this_list = ("comments", post_id)
        cursor = request.query.get("comments")
        page = await self.services.queries.ask(
            ListComments(
                post_id=post_id,
                limit=_COMMENTS,
                after=_keyset(cursor, this_list) if cursor else None,
                min_position=request.position,
            )
        )
        older = encode_cursor(this_list, page.next.comment_date, page.next.comment_id) if page.next else None
        return list(page.comments), older


def _keyset(cursor: str, this_list: tuple[object, ...]) -> CommentKeyset:
    date, row_id = decode_cursor(cursor, this_list)
    return CommentKeyset(date, CommentId(row_id))
