"""The import of the .NET system's history, and the audit that ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from application.errors import ReadDbNotReady
from application.imports.history_import import HistoryImport
from application.maintenance.audit import Audit, AuditReport
from application.ports.post_views import PostViews
from entrypoints.composition.bootstrap import prepare
from entrypoints.composition.container import Container
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import LoadedSettings

VERB = "import-dotnet"

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 30.0
"""How long the rows may make no progress before waiting for them ends."""


@dataclass(frozen=True, slots=True)
class DotnetSource:
    """Where the history is; `url` may hold a password, `given_by` is the option or variable that gives it."""

    url: str
    database: str
    collection: str
    given_by: str = "MONGO_URL"


class HistoryImportTools:
    def __init__(self, history_import: HistoryImport, container: Container, resources: Resources) -> None:
        self.history_import = history_import
        self._container = container
        self._resources = resources

    async def audit(self, position: int, note: Callable[[int], None]) -> AuditReport:
        """Compare the rows with the log, once they have reached `position`; `note` is called with their position. Where
        projectors read the log itself, one runs for that time; otherwise the running ones are waited for. Raises
        `ReadDbNotReady` when the rows make no progress, `Unavailable`, `WrongLog`, `SchemaOutdated`."""
        views = (await self._resources.open_read_db()).post_views
        if self._container.bus() is None:
            await _project_up_to(position, self._container, views, note)
        else:
            await _caught_up(position, views, note)
        audit: Audit = self._container.audit()
        return await audit.run()


@asynccontextmanager
async def open_history_import(
    loaded: LoadedSettings, source: DotnetSource, *, take_first: bool
) -> AsyncIterator[HistoryImportTools]:
    """Raises `LogDamaged` when positions are missing from the log, because nothing is written after a gap;
    `Unavailable`."""
    from adapters.mongo.dotnet_import.history import MongoDotnetHistory

    container = prepare(loaded, VERB)
    async with Resources(container) as resources:
        await resources.open_log()
        await container.gaps().require_none()
        async with MongoDotnetHistory(source.url, source.database, source.collection, source.given_by) as history:
            history_import = container.history_import(source=history, take_first=take_first)
            yield HistoryImportTools(history_import, container, resources)


async def _project_up_to(position: int, container: Container, views: PostViews, note: Callable[[int], None]) -> None:
    """Raises what ends the projector."""
    projecting = asyncio.create_task(container.follower().run())
    waiting = asyncio.create_task(_caught_up(position, views, note))
    try:
        done, _ = await asyncio.wait([projecting, waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (projecting, waiting):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _caught_up(position: int, views: PostViews, note: Callable[[int], None]) -> None:
    loop = asyncio.get_running_loop()
    reached, moved_at = -1, loop.time()
    while reached < position:
        now_at = (await views.stamp()).position
        if now_at > reached:
            reached, moved_at = now_at, loop.time()
            note(min(reached, position))
        elif loop.time() - moved_at > _PATIENCE_SECONDS:
            raise ReadDbNotReady(
                f"The rows are at position {reached:,} of {position:,} and make no progress; is a projector running?"
            )
        await asyncio.sleep(_POLL_SECONDS)
