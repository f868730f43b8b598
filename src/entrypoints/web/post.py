"""`/posts/{id}`: one post, its comments, its events, and the way back through them: `?version=n`.

Likes, taken and taken back: as the chosen name, or without one.
"""

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
from entrypoints.web.form_commands import send, to_the_post, writer_of
from entrypoints.web.page_request import PageRequest, Route
from entrypoints.web.post_history import post_as_of, timeline
from entrypoints.web.services import WebServices

_COMMENTS = 20
_EVENTS_READ_FOR_LIKE = 500


@dataclass(frozen=True, slots=True)
class PostPage:
    services: WebServices

    def routes(self) -> list[Route]:
        return [Route("/posts/{id}", show=self.show)]

    async def show(self, visit: PageRequest) -> ASGIApp:
        """The post as it is, from its row; with `?version=n` as it was, from the log. What was removed is shown as it
        was last."""
        post_id = post_id_segment(visit.request.scope)
        last = await self.services.queries.ask(CountEvents(post_id))
        asked = visit.number("version", low=1)
        live = await self._live(visit, post_id) if asked is None else None
        version = live["post"].version if live else min(asked or last, last)
        moment = (
            None
            if live
            else await cancel_on_disconnect(visit.request, post_as_of(self.services.queries, post_id, version))
        )
        window = await timeline(self.services.queries, post_id, last, version, visit.number("events"))
        return await visit.page(
            "post.html",
            post_id=post_id,
            last=last,
            version=version,
            is_past=asked is not None,
            moment=moment,
            timeline=window,
            liked=await self._liked(visit, post_id, last) if live else None,
            **(live or {"post": moment.shown if moment else None, "comments": [], "older_comments": None}),
        )

    async def _live(self, visit: PageRequest, post_id: PostId) -> dict[str, Any] | None:
        """None when there is no row: the post was removed, or is so new that no row tells of it."""
        try:
            found = await self.services.queries.ask(GetPost(post_id=post_id, min_position=visit.position))
            comments, older = await self._comments(visit, post_id)
        except PostNotFound:
            return None
        return {"post": found.post, "comments": comments, "older_comments": older}

    async def _liked(self, visit: PageRequest, post_id: PostId, last: int) -> bool | None:
        """Whether the chosen name likes the post. Rows do not hold who likes a post, so the post's last events tell;
        None when they do not reach back far enough, or nobody is asked about."""
        if visit.name is None or visit.services.commands is None:
            return None
        begin, key = max(0, last - _EVENTS_READ_FOR_LIKE), name_key(visit.name)
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

    async def _comments(self, visit: PageRequest, post_id: PostId) -> tuple[list[CommentRow], str | None]:
        """A page of them, newest first, and the cursor of the next."""
        this_list = ("comments", post_id)
        cursor = visit.query.get("comments")
        page = await self.services.queries.ask(
            ListComments(
                post_id=post_id,
                limit=_COMMENTS,
                after=_keyset(cursor, this_list) if cursor else None,
                min_position=visit.position,
            )
        )
        older = encode_cursor(this_list, page.next.comment_date, page.next.comment_id) if page.next else None
        return list(page.comments), older


def _keyset(cursor: str, this_list: tuple[object, ...]) -> CommentKeyset:
    date, row_id = decode_cursor(cursor, this_list)
    return CommentKeyset(date, CommentId(row_id))


@dataclass(frozen=True, slots=True)
class Likes:
    def routes(self) -> list[Route]:
        return [
            Route("/posts/{id}/likes", submit=self.like),
            Route("/posts/{id}/unlike", submit=self.unlike),
        ]

    async def like(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        username = None if form.text("anonymous") else visit.name
        command = LikePost(post_id=post_id_segment(visit.request.scope), username=username)
        return await to_the_post(visit, await send(visit, command, form, username))

    async def unlike(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        username = writer_of(visit, form)
        command = UnlikePost(post_id=post_id_segment(visit.request.scope), username=username)
        return await to_the_post(visit, await send(visit, command, form, username))
