"""The log that `event_store.adapter` chooses. Each builder imports its own driver, and no other."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from application.ports.commit_log import CommitLog, LogBackup
from application.ports.event_store import EventStore, PastEvents, Snapshots
from application.ports.provisioning import Probe, Provisioning
from application.ports.relay_state import RelayState
from application.projections.log_checks import LogGaps
from entrypoints.settings.model import Mongo, SqliteLog


@dataclass(frozen=True, slots=True, kw_only=True)
class LogParts:
    """The ports of one log. `resource` is what must be open while they are used; None: nothing."""

    resource: AbstractAsyncContextManager[Any] | None
    event_store: EventStore
    commit_log: CommitLog
    past_events: PastEvents
    snapshots: Snapshots
    relay_state: RelayState
    gaps: LogGaps
    probe: Probe | None = None
    provisioning: Provisioning | None = None
    examine: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Reads the whole log in search of damage; None: its server looks after that."""
    backup: LogBackup | None = None
    """None: a server holds the log, and has tools of its own."""


def sqlite_log(settings: SqliteLog) -> LogParts:
    from adapters.sqlite import log_file
    from adapters.sqlite.commit_log import SqliteCommitLog, SqliteLogProbe
    from adapters.sqlite.event_store import SqliteEventStore, SqliteSnapshots
    from adapters.sqlite.log_backup import SqliteLogBackup
    from adapters.sqlite.relay_state import SqliteRelayState

    log = log_file.SqliteLog(Path(settings.path), settings.append_timeout_seconds)
    store, commit_log = SqliteEventStore(log), SqliteCommitLog(log)
    return LogParts(
        resource=log,
        event_store=store,
        commit_log=commit_log,
        gaps=LogGaps(commit_log),
        past_events=store,
        snapshots=SqliteSnapshots(log),
        relay_state=SqliteRelayState(log),
        probe=SqliteLogProbe(log),
        examine=log.examine,
        backup=SqliteLogBackup(Path(settings.path)),
    )


def mongo_log(settings: Mongo) -> LogParts:
    from adapters.mongo.commit_log import MongoCommitLog
    from adapters.mongo.database import MongoDatabase
    from adapters.mongo.event_store import MongoEventStore, MongoPastEvents
    from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
    from adapters.mongo.relay_state import MongoRelayState
    from adapters.mongo.snapshots import MongoSnapshots

    database = MongoDatabase(
        settings.url.reveal(), settings.database, settings.append_timeout_seconds, settings.read_timeout_seconds
    )
    store, commit_log = MongoEventStore(database), MongoCommitLog(database)
    return LogParts(
        resource=database,
        event_store=store,
        commit_log=commit_log,
        gaps=LogGaps(commit_log),
        past_events=MongoPastEvents(database),
        snapshots=MongoSnapshots(database),
        relay_state=MongoRelayState(database),
        probe=MongoProbe(database, store.guard),
        provisioning=MongoProvisioning(database),
    )


def memory_log() -> LogParts:
    from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemoryRelayState, MemorySnapshots

    log = MemoryLog()
    store, commit_log = MemoryEventStore(log), MemoryCommitLog(log)
    return LogParts(
        resource=None,
        event_store=store,
        commit_log=commit_log,
        gaps=LogGaps(commit_log),
        past_events=store,
        snapshots=MemorySnapshots(log),
        relay_state=MemoryRelayState(log),
    )
