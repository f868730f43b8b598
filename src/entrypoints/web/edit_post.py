"""`/posts/{id}/edit`: what a post's author may do with it: edit its message, or remove it."""

from dataclasses import dataclass

from litestar.types import ASGIApp

from application.query_side.posts import GetPost
from domain.commands import EditMessage, RemovePost
from entrypoints.serving.routing import post_id_segment
from entrypoints.web.form_commands import Conflict, Edit, commands_of, send, send_edit, to_the_post, writer_of
from entrypoints.web.page_request import PageRequest, Route
from entrypoints.web.services import WebServices


@dataclass(frozen=True, slots=True)
class EditPost:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/posts/{id}/edit", show=self.show),
            Route("/posts/{id}/message", submit=self.edit),
            Route("/posts/{id}/remove", submit=self.remove),
        ]

    async def show(self, visit: PageRequest) -> ASGIApp:
        commands_of(visit)
        post_id = post_id_segment(visit.request.scope)
        found = await self.services.queries.ask(GetPost(post_id=post_id, min_position=visit.position))
        return await visit.page("edit.html", post=found.post)

    async def edit(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        username, text = writer_of(visit, form), form.text("text")
        command = EditMessage(
            post_id=post_id_segment(visit.request.scope),
            message=text,
            username=username,
            edited_at=self.services.clock.now(),
        )
        result = await send_edit(visit, form, Edit(command, {"message": text, "username": username}, "message"))
        if isinstance(result, Conflict):
            return await result.page(visit, text)
        return await to_the_post(visit, result)

    async def remove(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        username = writer_of(visit, form)
        command = RemovePost(post_id=post_id_segment(visit.request.scope), username=username)
        return await to_the_post(visit, await send(visit, command, form, username))
