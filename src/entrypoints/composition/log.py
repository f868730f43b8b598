"""Builders of the log, one for each value of `event_store.adapter`. The MongoDB driver is imported by its builder
only."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemoryRelayState, MemorySnapshots
from adapters.sqlite.commit_log import SqliteCommitLog, SqliteLogProbe
from adapters.sqlite.commit_removal import SqliteCommitRemoval
from adapters.sqlite.event_store import SqliteEventStore, SqliteSnapshots
from adapters.sqlite.integrity import SqliteIntegrity
from adapters.sqlite.log_backup import SqliteLogBackup
from adapters.sqlite.log_file import SqliteLog
from adapters.sqlite.relay_state import SqliteRelayState
from adapters.system.disk import FreeDiskProbe
from application.ports.commit_log import CommitLog, CommitRemoval, LogBackup
from application.ports.event_store import EventStore, PastEvents, Snapshots
from application.ports.provisioning import Probe, Provisioning
from application.ports.relay_state import RelayState
from application.ports.system import Metrics
from entrypoints.optional_imports import as_if_not_installed
from entrypoints.settings.model import Mongo
from entrypoints.settings.model import SqliteLog as SqliteSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LogParts:
    """The ports of one log. `resource` must be open while they are used; None: there is nothing to open."""

    resource: AbstractAsyncContextManager[Any] | None
    event_store: EventStore
    commit_log: CommitLog
    past_events: PastEvents
    snapshots: Snapshots
    relay_state: RelayState
    removal: CommitRemoval | None = None
    probe: Probe | None = None
    provisioning: Provisioning | None = None
    disk: Probe | None = None
    """Is there room for the file to grow? None: a server holds the log."""
    integrity: Probe | None = None
    """Reads the whole file; None: a server holds the log."""
    examine: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Reads the whole log and logs what is damaged; None: a server holds the log, and checks it itself."""
    backup: LogBackup | None = None
    """None: a server holds the log, and has tools of its own."""


def sqlite_log(settings: SqliteSettings, metrics: Metrics) -> LogParts:
    path, setting = Path(settings.path), "event_store.sqlite.path"
    log = SqliteLog(path, settings.append_timeout_seconds)
    store = SqliteEventStore(log)
    return LogParts(
        resource=log,
        event_store=store,
        commit_log=SqliteCommitLog(log),
        past_events=store,
        snapshots=SqliteSnapshots(log),
        relay_state=SqliteRelayState(log),
        removal=SqliteCommitRemoval(log),
        probe=SqliteLogProbe(log),
        disk=FreeDiskProbe(path, setting, metrics),
        integrity=SqliteIntegrity(path, setting, "Stop Postlog and bring a backup back with `postlog restore`."),
        examine=log.examine,
        backup=SqliteLogBackup(path),
    )


def mongo_log(settings: Mongo) -> LogParts:
    # pymongo imports `cryptography` for OCSP, before it finds that PyOpenSSL is missing: 0.1 s and 20 MB for nothing.
    with as_if_not_installed(*(() if find_spec("OpenSSL") else ("cryptography",))):
        import pymongo  # noqa: F401

    from adapters.mongo.commit_log import MongoCommitLog
    from adapters.mongo.commit_removal import MongoCommitRemoval
    from adapters.mongo.database import MongoDatabase
    from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
    from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
    from adapters.mongo.relay_state import MongoRelayState
    from adapters.mongo.snapshots import MongoSnapshots

    database = MongoDatabase(
        settings.url.reveal(), settings.database, settings.append_timeout_seconds, settings.read_timeout_seconds
    )
    store = MongoEventStore(database)
    return LogParts(
        resource=database,
        event_store=store,
        commit_log=MongoCommitLog(database),
        past_events=MongoPastEvents(database),
        snapshots=MongoSnapshots(database),
        relay_state=MongoRelayState(database),
        removal=MongoCommitRemoval(database),
        probe=MongoProbe(database, store.guard),
        provisioning=MongoProvisioning(database),
    )


def memory_log() -> LogParts:
    log = MemoryLog()
    store = MemoryEventStore(log)
    return LogParts(
        resource=None,
        event_store=store,
        commit_log=MemoryCommitLog(log),
        past_events=store,
        snapshots=MemorySnapshots(log),
        relay_state=MemoryRelayState(log),
    )
