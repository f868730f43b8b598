"""What each job of the command line works with, open for as long as the block lasts: settings checked, logging
configured."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from msgspec.structs import replace

from application.imports.post_import import PostImport
from application.maintenance.audit import Audit
from application.maintenance.doctor import Doctor
from application.maintenance.events_check import EventsCheck, RangeWorker
from application.maintenance.log_cut import LogCut
from application.maintenance.rebuild import Rebuild
from application.maintenance.repair import Repair
from application.mediator import QueryDispatcher
from application.pipeline.parking import ParkedRetry
from application.ports.commit_log import LogBackup
from application.ports.generations import Generations
from application.ports.post_views import PostViews
from application.ports.read_db import ParkedStreams
from application.ports.system import Clock
from application.projections.log_checks import require_same_log
from domain.errors import PostlogError
from entrypoints.composition.bootstrap import prepare
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.composition.worker_process import RangeProcess, WorkerProcess, checking, sharded_batches
from entrypoints.settings.administrators import Administrators
from entrypoints.settings.leaves import Problem, SettingsError
from entrypoints.settings.loading import LoadedSettings, require_files
from entrypoints.settings.model import Settings


@asynccontextmanager
async def open_post_import(loaded: LoadedSettings, verb: str) -> AsyncIterator[PostImport]:
    container = prepare(loaded, verb)
    async with Resources(container) as resources:
        await resources.open_log()
        await resources.open_commands()
        yield container.post_import()


def log_backup(loaded: LoadedSettings, verb: str) -> LogBackup:
    """Opens the log by itself, when it is used. Raises `SettingsError` where a server holds the log."""
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
async def open_history(loaded: LoadedSettings, verb: str) -> AsyncIterator[QueryDispatcher]:
    """The queries that are answered from the log alone."""
    container = prepare(loaded, verb)
    require_files(loaded, "event_store")
    async with Resources(container) as resources:
        await resources.open_log()
        yield container.history_dispatcher()


@asynccontextmanager
async def open_parked_streams(loaded: LoadedSettings, verb: str) -> AsyncIterator[ParkedStreams]:
    container = prepare(loaded, verb)
    require_files(loaded, "read_db")
    async with Resources(container) as resources:
        yield (await resources.open_read_db()).parked_streams


@asynccontextmanager
async def open_parked_retry(loaded: LoadedSettings, verb: str) -> AsyncIterator[ParkedRetry]:
    """Raises `WrongLog` when the rows come from another log: nothing of this log may be written to them."""
    container = prepare(loaded, verb)
    require_files(loaded, "event_store", "read_db")
    async with Resources(container) as resources:
        log = await resources.open_log()
        store = (await resources.open_read_db()).projection_store
        live = await store.live()
        await require_same_log(live, (await store.checkpoints(live.generation)).values(), log.commit_log)
        yield container.parked_retry()


@dataclass(frozen=True, slots=True)
class AuditTools:
    audit: Audit
    repair: Repair


@asynccontextmanager
async def open_audit(loaded: LoadedSettings, verb: str) -> AsyncIterator[AuditTools]:
    """Of the configured read database, even if it belongs to another log: the audit reports that."""
    container = prepare(loaded, verb)
    require_files(loaded, "event_store", "read_db")
    async with Resources(container) as resources:
        await resources.open_log()
        await resources.open_read_db()
        yield AuditTools(container.audit(), container.repair())


@dataclass(frozen=True, slots=True)
class RebuildTools:
    rebuild: Rebuild
    audit: Audit
    generations: Generations
    views: PostViews
    clock: Clock


@asynccontextmanager
async def open_rebuild(loaded: LoadedSettings, verb: str) -> AsyncIterator[RebuildTools]:
    container = prepare(loaded, verb)
    require_files(loaded, "event_store")
    async with Resources(container) as resources:
        await resources.open_log()
        read_db = await resources.open_read_db()
        batches = None
        if loaded.settings.rebuild.workers > 1:
            batches = await resources.enter(sharded_batches(loaded, verb, container))
        yield RebuildTools(
            container.rebuild(batches=batches),
            container.audit(),
            read_db.generations,
            read_db.post_views,
            container.clock(),
        )


MOST_PROCESSES = 64
_COMMITS_A_PROCESS = 100_000
"""With fewer, they would be read before another process has started, which takes about a second."""


@asynccontextmanager
async def open_events_check(
    loaded: LoadedSettings, processes: int | None, places: int
) -> AsyncIterator[tuple[EventsCheck, int]]:
    """The check, and how many commits there are. This process is one of `processes`; by default there is one for each
    processor, unless the log is short. Raises `StoreUnavailable`."""
    container = prepare(loaded, "events check")
    require_files(loaded, "event_store")
    async with Resources(container) as resources:
        tip = await (await resources.open_log()).commit_log.tip()
        wanted = processes or min(os.cpu_count() or 1, MOST_PROCESSES, tip // _COMMITS_A_PROCESS)
        started = [WorkerProcess(loaded, "events check", checking) for _ in range(wanted - 1)]
        workers: list[RangeWorker] = [container.range_check()]
        workers += [RangeProcess(await resources.enter(process)) for process in started]
        yield container.events_check(workers, places), tip


@asynccontextmanager
async def open_log_cut(loaded: LoadedSettings, administrators: Administrators) -> AsyncIterator[LogCut]:
    """Uses the administrator's login where one is given: the service's own may delete nothing."""
    prepare(loaded, "events cut")
    require_files(loaded, "event_store")
    container = container_for(_as_administrator(loaded.settings, administrators))
    async with Resources(container) as resources:
        await resources.open_log()
        yield container.log_cut()


def _as_administrator(settings: Settings, administrators: Administrators) -> Settings:
    if administrators.mongo is None:
        return settings
    event_store = settings.event_store
    return replace(
        settings, event_store=replace(event_store, mongo=replace(event_store.mongo, url=administrators.mongo))
    )


@asynccontextmanager
async def open_doctor(loaded: LoadedSettings) -> AsyncIterator[Doctor]:
    """Opens every part that the settings select, without creating or changing anything."""
    container = prepare(loaded, "doctor", make_tables=False)
    require_files(loaded, "event_store", "read_db")
    async with Resources(container) as resources:
        unopened: dict[str, str] = {}
        for part, opened in (("event_store", resources.open_log), ("read_db", resources.open_read_db)):
            try:
                await opened()
            except PostlogError as error:
                unopened[part] = error.message
        yield container.thorough_doctor(unopened=unopened)
