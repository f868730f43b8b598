"""For operators: the position of the read database, and its rebuilds. Enabled by `http.operations`."""

from litestar import delete, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.maintenance.rebuilds import Rebuilds, RebuildStatus
from application.mediator import QueryDispatcher
from application.query_side.status import GetReadDbStatus
from entrypoints.http.bodies import BodyReader
from entrypoints.http.parameters import READ_DB, REBUILDS, REBUILDS_PARAMETERS, read_query, rebuild_path
from entrypoints.http.schemas import NewRebuild, Rebuild, RebuildPage, read_db_view
from entrypoints.serving.formats import instant_text
from entrypoints.serving.responses import REVALIDATE, json_response
from entrypoints.serving.routing import HttpRequest, get_and_head, text_of_segment


class ReadDbEndpoint:
    def __init__(self, queries: QueryDispatcher) -> None:
        self._queries = queries

    def handlers(self) -> list[HTTPRouteHandler]:
        return [get_and_head(READ_DB)(self.read_db)]

    async def read_db(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        return json_response(200, read_db_view(await self._queries.ask(GetReadDbStatus())), [REVALIDATE])


class RebuildEndpoints:
    def __init__(self, rebuilds: Rebuilds, max_body_bytes: int) -> None:
        self._rebuilds = rebuilds
        self._new_rebuild = BodyReader(NewRebuild, max_body_bytes)

    def handlers(self) -> list[HTTPRouteHandler]:
        a_rebuild = REBUILDS + "/{rebuild_id:str}"
        return [
            post(REBUILDS, status_code=202)(self.begin),
            get_and_head(REBUILDS)(self.list_rebuilds),
            get_and_head(a_rebuild)(self.get),
            delete(a_rebuild, status_code=200)(self.cancel),
        ]

    async def begin(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        body = await self._new_rebuild.read_optional(request) or NewRebuild()
        begun = await self._rebuilds.begin(body.adapter)
        return json_response(202, _view(begun), [(b"location", rebuild_path(begun.id).encode())])

    async def list_rebuilds(self, request: HttpRequest) -> ASGIApp:
        asked = read_query(request.scope, REBUILDS_PARAMETERS)
        found = await self._rebuilds.recent(asked.get("adapter"))
        return json_response(200, RebuildPage(rebuilds=[_view(status) for status in found]), [REVALIDATE])

    async def get(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        return json_response(200, _view(await self._rebuilds.status(_rebuild_id(request))), [REVALIDATE])

    async def cancel(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        return json_response(200, _view(await self._rebuilds.cancel(_rebuild_id(request))), [])


def _rebuild_id(request: HttpRequest) -> str:
    return text_of_segment(request.scope, "rebuild_id")


def _view(status: RebuildStatus) -> Rebuild:
    return Rebuild(
        id=status.id,
        adapter=status.adapter,
        state=status.state.value,
        position=status.position,
        target=status.target,
        events_per_second=_tenths(status.events_per_second),
        seconds_left=_tenths(status.seconds_left),
        started_at=instant_text(status.started_at),
        error=status.error,
    )


def _tenths(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
