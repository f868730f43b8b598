"""Builders of the read database, one for each value of `read_db.adapter`. SQLAlchemy and the drivers of servers are
imported by the builders of these servers, and for a SQLite file by the thread that first needs it."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.memory.generations import MemoryGenerations
from adapters.memory.read_db import (
    MemoryAuditRows,
    MemoryParkedStreams,
    MemoryPostViews,
    MemoryProjectionStore,
    MemoryReadDb,
)
from adapters.sql.read_db import SqlReadDb
from adapters.sqlite import read_db as sqlite
from adapters.sqlite.integrity import SqliteIntegrity
from adapters.sqlite.read_db_file import SETTING
from adapters.system.disk import FreeDiskProbe
from application.ports.audit_rows import AuditRows
from application.ports.generations import Generations
from application.ports.post_views import PostViews
from application.ports.provisioning import Probe, Provisioning
from application.ports.read_db import ParkedStreams, ProjectionStore
from application.ports.system import Metrics
from entrypoints.settings.model import Postgres, SqliteReadDb, SqlServer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDbParts:
    """The ports of one read database. `resource` must be open while they are used; None: there is nothing to open. A
    process that writes rows is ready when `writing_probe` is: readers may use a replica."""

    resource: AbstractAsyncContextManager[Any] | None
    post_views: PostViews
    projection_store: ProjectionStore
    parked_streams: ParkedStreams
    generations: Generations
    audit_rows: AuditRows
    probe: Probe | None = None
    writing_probe: Probe | None = None
    provisioning: Provisioning | None = None
    disk: Probe | None = None
    """Is there room for the file to grow? None: a server holds the rows."""
    integrity: Probe | None = None
    """Reads the whole file; None: a server holds the rows."""


def sqlite_read_db(settings: SqliteReadDb, metrics: Metrics, make_tables: bool) -> ReadDbParts:
    """With `make_tables` the thread that first needs the tables creates or upgrades them: nobody runs `postlog init`
    for a file, and a starting process accepts commands meanwhile."""
    path = Path(settings.path)
    remedy = "Stop Postlog, remove the file, and compute it again with `postlog rebuild`."
    return replace(
        _sql(sqlite.sqlite_read_db(path, settings.pool_size, make_tables=make_tables)),
        disk=FreeDiskProbe(path, SETTING, metrics),
        integrity=SqliteIntegrity(path, SETTING, remedy),
    )


def postgres_read_db(settings: Postgres) -> ReadDbParts:
    from adapters.postgres import read_db

    return _sql(read_db.postgres_read_db(settings.url.reveal(), settings.pool_size))


def sqlserver_read_db(settings: SqlServer) -> ReadDbParts:
    from adapters.sqlserver import read_db

    return _sql(read_db.sqlserver_read_db(settings.url.reveal(), settings.pool_size))


def memory_read_db() -> ReadDbParts:
    read_db = MemoryReadDb()
    return ReadDbParts(
        resource=None,
        post_views=MemoryPostViews(read_db),
        projection_store=MemoryProjectionStore(read_db),
        parked_streams=MemoryParkedStreams(read_db),
        generations=MemoryGenerations(read_db),
        audit_rows=MemoryAuditRows(read_db),
    )


def _sql(read_db: SqlReadDb) -> ReadDbParts:
    return ReadDbParts(
        resource=read_db,
        post_views=read_db.post_views,
        projection_store=read_db.projection_store,
        parked_streams=read_db.parked_streams,
        generations=read_db.generations,
        audit_rows=read_db.audit_rows,
        probe=read_db.probe,
        writing_probe=read_db.writing_probe,
        provisioning=read_db.provisioning,
    )
