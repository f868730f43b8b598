"""`/posts/{id}`: one post with its comments."""

from dataclasses import dataclass

from litestar.types import ASGIApp

from application.query_side.queries import GetPost
from entrypoints.serving.paths import post_id_segment
from entrypoints.web.routes import Route
from entrypoints.web.services import WebServices
from entrypoints.web.visit import Visit


@dataclass(frozen=True, slots=True)
class PostPage:
    services: WebServices

    def routes(self) -> list[Route]:
        return [Route("/posts/{id}", show=self.show)]

    async def show(self, visit: Visit) -> ASGIApp:
        post_id = post_id_segment(visit.request.scope)
        found = await self.services.queries.ask(GetPost(post_id=post_id, min_position=visit.position))
        return await visit.page("post.html", post=found.post, comments=found.comments)
