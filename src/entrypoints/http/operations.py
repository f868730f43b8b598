"""For operators: where the read database stands. Switched by `http.operations`."""

from dataclasses import dataclass

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.mediator import QueryDispatcher
from application.query_side.queries import GetReadDbStatus
from entrypoints.http.paths import READ_DB
from entrypoints.http.query_params import read_query
from entrypoints.http.views import read_db_view
from entrypoints.serving.answers import REVALIDATE, json_answer
from entrypoints.serving.routes import HttpRequest, reading


@dataclass(frozen=True, slots=True)
class OperationEndpoints:
    queries: QueryDispatcher

    def handlers(self) -> list[HTTPRouteHandler]:
        return [reading(READ_DB)(self.read_db)]

    async def read_db(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        return json_answer(200, read_db_view(await self.queries.ask(GetReadDbStatus())), [REVALIDATE])
