"""For operators: rebuilds of the read database, begun, watched and cancelled. Switched by `http.operations`."""

from dataclasses import dataclass

from litestar import delete, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from application.maintenance.rebuilds import Rebuilds, RebuildStatus
from entrypoints.http.bodies import BodyReader
from entrypoints.http.parameters import REBUILDS_PARAMETERS
from entrypoints.http.paths import REBUILDS, rebuild_path
from entrypoints.http.query_params import read_query
from entrypoints.http.schemas import NewRebuild, Rebuild, RebuildPage
from entrypoints.serving.answers import REVALIDATE, json_answer
from entrypoints.serving.instants import instant_text
from entrypoints.serving.paths import text_segment
from entrypoints.serving.routes import HttpRequest, reading


@dataclass(frozen=True, slots=True)
class RebuildEndpoints:
    rebuilds: Rebuilds
    new_rebuild: BodyReader[NewRebuild]

    def handlers(self) -> list[HTTPRouteHandler]:
        a_rebuild = REBUILDS + "/{rebuild_id:str}"
        return [
            post(REBUILDS, status_code=202)(self.begin),
            reading(REBUILDS)(self.list_rebuilds),
            reading(a_rebuild)(self.get),
            delete(a_rebuild, status_code=200)(self.cancel),
        ]

    async def begin(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        body = await self.new_rebuild.read_optional(request) or NewRebuild()
        begun = await self.rebuilds.begin(body.adapter)
        return json_answer(202, _view(begun), [(b"location", rebuild_path(begun.id).encode())])

    async def list_rebuilds(self, request: HttpRequest) -> ASGIApp:
        asked = read_query(request.scope, REBUILDS_PARAMETERS)
        found = await self.rebuilds.recent(asked.get("adapter"))
        return json_answer(200, RebuildPage(rebuilds=[_view(status) for status in found]), [REVALIDATE])

    async def get(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        return json_answer(200, _view(await self.rebuilds.status(_rebuild_id(request))), [REVALIDATE])

    async def cancel(self, request: HttpRequest) -> ASGIApp:
        read_query(request.scope, ())
        return json_answer(200, _view(await self.rebuilds.cancel(_rebuild_id(request))), [])


def _rebuild_id(request: HttpRequest) -> str:
    return text_segment(request.scope, "rebuild_id")


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
