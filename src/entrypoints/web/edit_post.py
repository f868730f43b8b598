"""`/posts/{id}/edit`: where the author of a post edits its message or removes it."""

from dataclasses import dataclass

from litestar.types import ASGIApp

from application.query_side.posts import GetPost
from domain.commands import EditMessage, RemovePost
from entrypoints.serving.routing import post_id_segment
from entrypoints.web.form_commands import Edit, author_of, commands_of, redirect_to_post, send, submit_edit
from entrypoints.web.page_request import PageRequest, Route
from entrypoints.web.services import WebServices


@dataclass(frozen=True, slots=True)
class EditPost:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/posts/{id:str}/edit", show=self.show),
            Route("/posts/{id:str}/message", submit=self.edit),
            Route("/posts/{id:str}/remove", submit=self.remove),
        ]

    async def show(self, request: PageRequest) -> ASGIApp:
        commands_of(request)
        post_id = post_id_segment(request.scope)
        found = await self.services.queries.ask(GetPost(post_id=post_id, min_position=request.position))
        return await request.page("edit.html", post=found.post)

    async def edit(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        username, text = author_of(request, form), form.text("text")
        command = EditMessage(
            post_id=post_id_segment(request.scope),
            message=text,
            username=username,
            edited_at=self.services.clock.now(),
        )
        return await submit_edit(request, form, Edit(command, {"message": text, "username": username}, "message"))

    async def remove(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        username = author_of(request, form)
        command = RemovePost(post_id=post_id_segment(request.scope), username=username)
        return await redirect_to_post(request, await send(request, command, form, username))
