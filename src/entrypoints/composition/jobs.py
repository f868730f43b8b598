"""What jobs of the command line work with: settings checked, logging set up, the parts they need open."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from msgspec.structs import replace

from application.imports.post_import import PostImport
from application.maintenance.audit import Audit
from application.maintenance.rebuild import Rebuild
from application.maintenance.repair import Repair
from application.mediator import QueryDispatcher
from application.pipeline.parking import ParkedRetry
from application.ports.commit_log import LogBackup
from application.ports.generations import Generations
from application.ports.read_db import ParkedStreams
from application.ports.system import Clock
from application.projections.log_checks import require_same_log
from entrypoints.composition.container import Container, container_for
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.share_processes import shared_batches
from entrypoints.observability import configure_logging
from entrypoints.settings.leaves import Problem, SettingsError
from entrypoints.settings.loading import DEFAULT, LoadedSettings, refuse_memory, require_files


def prepare(loaded: LoadedSettings, verb: str, *, may_make_tables: bool = True) -> Container:
    """A job prints its results, and logs only what should worry, unless the settings ask for more. Raises
    `SettingsError` when a part lives in memory, which this process could not see."""
    refuse_memory(loaded.settings, loaded.sources, verb)
    is_asked_for = loaded.sources["log.level"] != DEFAULT
    configure_logging(loaded.settings.log if is_asked_for else replace(loaded.settings.log, level="warning"))
    return container_for(loaded.settings, may_make_tables=may_make_tables)


@asynccontextmanager
async def with_post_import(loaded: LoadedSettings, verb: str) -> AsyncIterator[PostImport]:
    container = prepare(loaded, verb)
    async with Lifetime(container) as lifetime:
        await lifetime.open_log()
        await lifetime.open_commands()
        yield container.post_import()


def log_backup(loaded: LoadedSettings, verb: str) -> LogBackup:
    """It opens the log by itself, and not before it is used. Raises `SettingsError` where a server holds the log."""
    path = "event_store.adapter"
    backup: LogBackup | None = prepare(loaded, verb).log().backup
    if backup is None:
        sentence = (
            f"is {loaded.settings.event_store.adapter}: `postlog {verb}` is for a log in a SQLite file; back up and "
            "restore MongoDB with mongodump and mongorestore, as docs/operations.md describes"
        )
        raise SettingsError([Problem(path, sentence, loaded.sources.get(path))])
    return backup


@asynccontextmanager
async def with_history(loaded: LoadedSettings, verb: str) -> AsyncIterator[QueryDispatcher]:
    """The queries that are answered from the log alone."""
    container = prepare(loaded, verb)
    require_files(loaded.settings, loaded.sources, "event_store")
    async with Lifetime(container) as lifetime:
        await lifetime.open_log()
        yield container.history_dispatcher()


@asynccontextmanager
async def with_parked_streams(loaded: LoadedSettings, verb: str) -> AsyncIterator[ParkedStreams]:
    container = prepare(loaded, verb)
    require_files(loaded.settings, loaded.sources, "read_db")
    async with Lifetime(container) as lifetime:
        yield (await lifetime.open_read_db()).parked_streams


@asynccontextmanager
async def with_parked_retry(loaded: LoadedSettings, verb: str) -> AsyncIterator[ParkedRetry]:
    """Raises `WrongLog` when the rows come from another log: nothing of this one may go into them."""
    container = prepare(loaded, verb)
    require_files(loaded.settings, loaded.sources, "event_store", "read_db")
    async with Lifetime(container) as lifetime:
        log = await lifetime.open_log()
        store = (await lifetime.open_read_db()).projection_store
        live = await store.live()
        await require_same_log(live, (await store.checkpoints(live.generation)).values(), log.commit_log)
        yield container.parked_retry()


@dataclass(frozen=True, slots=True)
class AuditTools:
    audit: Audit
    repair: Repair


@asynccontextmanager
async def with_audit(loaded: LoadedSettings, verb: str) -> AsyncIterator[AuditTools]:
    """Of the configured read database, whether it belongs to this log or not: the audit tells."""
    container = prepare(loaded, verb)
    require_files(loaded.settings, loaded.sources, "event_store", "read_db")
    async with Lifetime(container) as lifetime:
        await lifetime.open_log()
        await lifetime.open_read_db()
        yield AuditTools(container.audit(), container.repair())


@dataclass(frozen=True, slots=True)
class RebuildTools:
    rebuild: Rebuild
    audit: Audit
    generations: Generations
    parked: ParkedRetry
    clock: Clock


@asynccontextmanager
async def with_rebuild(loaded: LoadedSettings, verb: str) -> AsyncIterator[RebuildTools]:
    container = prepare(loaded, verb)
    require_files(loaded.settings, loaded.sources, "event_store")
    async with AsyncExitStack() as stack:
        lifetime = await stack.enter_async_context(Lifetime(container))
        await lifetime.open_log()
        read_db = await lifetime.open_read_db()
        batches = None
        if loaded.settings.rebuild.workers > 1:
            batches = await stack.enter_async_context(shared_batches(loaded, verb, container))
        yield RebuildTools(
            container.rebuild(batches=batches),
            container.audit(),
            read_db.generations,
            container.parked_retry(),
            container.clock(),
        )
