"""The removal of what stands behind a gap in the log, by an administrator's login where one is given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from application.maintenance.log_cut import LogCut
from application.ports.commit_log import CommitRemoval
from entrypoints.composition.container import container_for
from entrypoints.composition.event_store import LogParts
from entrypoints.composition.jobs import prepare
from entrypoints.composition.lifetime import Lifetime
from entrypoints.settings.administrators import Administrators
from entrypoints.settings.loading import LoadedSettings, require_files
from entrypoints.settings.model import Settings


@asynccontextmanager
async def with_log_cut(loaded: LoadedSettings, administrators: Administrators) -> AsyncIterator[LogCut]:
    prepare(loaded, "events cut")
    require_files(loaded.settings, loaded.sources, "event_store")
    async with Lifetime(container_for(_as_administrator(loaded.settings, administrators))) as lifetime:
        log = await lifetime.open_log()
        yield LogCut(log.commit_log, _removal(log))


def _as_administrator(settings: Settings, administrators: Administrators) -> Settings:
    if administrators.mongo is None:
        return settings
    event_store = settings.event_store
    return replace(
        settings, event_store=replace(event_store, mongo=replace(event_store.mongo, url=administrators.mongo))
    )


def _removal(log: LogParts) -> CommitRemoval:
    from adapters.sqlite.log_file import SqliteLog

    if isinstance(log.resource, SqliteLog):
        from adapters.sqlite.commit_removal import SqliteCommitRemoval

        return SqliteCommitRemoval(log.resource)
    from adapters.mongo.commit_removal import MongoCommitRemoval
    from adapters.mongo.database import MongoDatabase

    assert isinstance(log.resource, MongoDatabase)  # noqa: S101 (memory was refused)
    return MongoCommitRemoval(log.resource)
