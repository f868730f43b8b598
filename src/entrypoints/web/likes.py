"""Likes, taken and taken back: as the chosen name, or without one."""

from dataclasses import dataclass

from litestar.types import ASGIApp

from domain.commands import LikePost, UnlikePost
from entrypoints.serving.paths import post_id_segment
from entrypoints.web.routes import Route
from entrypoints.web.sending import send, to_the_post, writer_of
from entrypoints.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Likes:
    def routes(self) -> list[Route]:
        return [
            Route("/posts/{id}/likes", submit=self.like),
            Route("/posts/{id}/unlike", submit=self.unlike),
        ]

    async def like(self, visit: Visit) -> ASGIApp:
        form = await visit.form()
        username = None if form.text("anonymous") else visit.name
        command = LikePost(post_id=post_id_segment(visit.request.scope), username=username)
        return await to_the_post(visit, await send(visit, command, form, username))

    async def unlike(self, visit: Visit) -> ASGIApp:
        form = await visit.form()
        username = writer_of(visit, form)
        command = UnlikePost(post_id=post_id_segment(visit.request.scope), username=username)
        return await to_the_post(visit, await send(visit, command, form, username))
