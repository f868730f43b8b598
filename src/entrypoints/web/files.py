"""`/static/…`: what the pages need beside their HTML."""

import asyncio

from litestar.types import ASGIApp

from entrypoints.serving.errors import RouteNotFound
from entrypoints.serving.paths import instance_of, text_segment
from entrypoints.web.routes import Route
from entrypoints.web.site_files import file_answer
from entrypoints.web.visit import Visit


class Files:
    def routes(self) -> list[Route]:
        return [Route("/static/{name}", show=self.file)]

    async def file(self, visit: Visit) -> ASGIApp:
        scope = visit.request.scope
        query = scope["query_string"].decode("latin-1")
        found = await asyncio.to_thread(file_answer, text_segment(scope, "name"), query)
        if found is None:
            raise RouteNotFound(f"There is no file {instance_of(scope)}.")
        return found
