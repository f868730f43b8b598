"""`/posts/{id}/comments…`: adds, edits and removes comments, by forms of the post's page."""

from dataclasses import dataclass

from litestar.types import ASGIApp

from domain.commands import AddComment, EditComment, RemoveComment
from domain.ids import CommentId
from entrypoints.serving.routing import comment_id_segment, post_id_segment
from entrypoints.web.form_commands import Edit, author_of, redirect_to_post, send, submit_edit
from entrypoints.web.page_request import PageRequest, Route
from entrypoints.web.services import WebServices


@dataclass(frozen=True, slots=True)
class Comments:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/posts/{id:str}/comments", submit=self.add),
            Route("/posts/{id:str}/comments/{comment_id:str}", submit=self.edit),
            Route("/posts/{id:str}/comments/{comment_id:str}/remove", submit=self.remove),
        ]

    async def add(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        username, text = author_of(request, form), form.text("text")
        command = AddComment(
            post_id=post_id_segment(request.scope),
            comment_id=CommentId(self.services.ids.new()),
            comment=text,
            username=username,
            comment_date=self.services.clock.now(),
        )
        result = await send(request, command, form, {"comment": text, "username": username})
        return await redirect_to_post(request, result, request.remembering(username))

    async def edit(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        username, text = author_of(request, form), form.text("text")
        comment_id = comment_id_segment(request.scope)
        command = EditComment(
            post_id=post_id_segment(request.scope),
            comment_id=comment_id,
            comment=text,
            username=username,
            edit_date=self.services.clock.now(),
        )
        edit = Edit(command, {"comment": text, "username": username}, "comment", comment_id)
        return await submit_edit(request, form, edit)

    async def remove(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        username = author_of(request, form)
        command = RemoveComment(
            post_id=post_id_segment(request.scope),
            comment_id=comment_id_segment(request.scope),
            username=username,
        )
        return await redirect_to_post(request, await send(request, command, form, username))
