"""Comments: added, edited and removed from the post's page."""

from dataclasses import dataclass

from litestar.types import ASGIApp

from domain.commands import AddComment, EditComment, RemoveComment
from domain.ids import CommentId
from entrypoints.serving.routing import comment_id_segment, post_id_segment
from entrypoints.web.form_commands import Conflict, Edit, send, send_edit, to_the_post, writer_of
from entrypoints.web.page_request import PageRequest, Route
from entrypoints.web.services import WebServices
from entrypoints.web.username_cookie import username_cookie


@dataclass(frozen=True, slots=True)
class Comments:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/posts/{id}/comments", submit=self.add),
            Route("/posts/{id}/comments/{comment_id}", submit=self.edit),
            Route("/posts/{id}/comments/{comment_id}/remove", submit=self.remove),
        ]

    async def add(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        username, text = writer_of(visit, form), form.text("text")
        command = AddComment(
            post_id=post_id_segment(visit.request.scope),
            comment_id=CommentId(self.services.ids.new()),
            comment=text,
            username=username,
            comment_date=self.services.clock.now(),
        )
        result = await send(visit, command, form, {"comment": text, "username": username})
        return await to_the_post(visit, result, [username_cookie(username)])

    async def edit(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        username, text = writer_of(visit, form), form.text("text")
        comment_id = comment_id_segment(visit.request.scope)
        command = EditComment(
            post_id=post_id_segment(visit.request.scope),
            comment_id=comment_id,
            comment=text,
            username=username,
            edit_date=self.services.clock.now(),
        )
        edit = Edit(command, {"comment": text, "username": username}, "comment", comment_id)
        result = await send_edit(visit, form, edit)
        if isinstance(result, Conflict):
            return await result.page(visit, text)
        return await to_the_post(visit, result)

    async def remove(self, visit: PageRequest) -> ASGIApp:
        form = await visit.form()
        username = writer_of(visit, form)
        command = RemoveComment(
            post_id=post_id_segment(visit.request.scope),
            comment_id=comment_id_segment(visit.request.scope),
            username=username,
        )
        return await to_the_post(visit, await send(visit, command, form, username))
