"""What the doctor examines: every part that the settings select, opened without making or changing anything."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from application.maintenance.doctor import Doctor
from application.ports.provisioning import Probe
from domain.errors import PostlogError
from entrypoints.composition.container import Container
from entrypoints.composition.event_store import LogParts
from entrypoints.composition.jobs import prepare
from entrypoints.composition.lifetime import Lifetime
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.settings.loading import LoadedSettings, require_files
from entrypoints.settings.model import Settings


@asynccontextmanager
async def with_doctor(loaded: LoadedSettings) -> AsyncIterator[Doctor]:
    container = prepare(loaded, "doctor", may_make_tables=False)
    require_files(loaded.settings, loaded.sources, "event_store", "read_db")
    async with Lifetime(container) as lifetime:
        unopened: dict[str, str] = {}
        for part, opened in (("event_store", lifetime.open_log), ("read_db", lifetime.open_read_db)):
            try:
                await opened()
            except PostlogError as error:
                unopened[part] = error.message
        yield doctor_of(container, thorough=True, unopened=unopened)


def doctor_of(container: Container, *, thorough: bool = False, unopened: Mapping[str, str] | None = None) -> Doctor:
    """On an open log and an open read database, but for those that are `unopened`, with the reason. `thorough`: files
    are read to their ends."""
    log: LogParts = container.log()
    read_db: ReadDbParts = container.read_db()
    parts = {"event_store": log, "bus": container.bus(), "read_db": read_db}
    probes = [part.probe for part in parts.values() if part is not None and part.probe is not None]
    return Doctor(
        probes=[*probes, *_disks(container.settings()), *(_integrities(container.settings()) if thorough else ())],
        provisionings={
            f"{name} schema": part.provisioning
            for name, part in parts.items()
            if part is not None and part.provisioning is not None
        },
        log=log.commit_log,
        gaps=log.gaps,
        thorough=thorough,
        store=read_db.projection_store,
        views=read_db.post_views,
        parked_streams=read_db.parked_streams,
        generations=read_db.generations,
        clock=container.clock(),
        relay_state=log.relay_state if parts["bus"] is not None else None,
        unopened=unopened,
    )


def _integrities(settings: Settings) -> list[Probe]:
    from adapters.sqlite.integrity import SqliteIntegrity

    remedies = {
        "event_store": "Stop Postlog and bring a backup back with `postlog restore`.",
        "read_db": "Stop Postlog, remove the file, and compute it again with `postlog rebuild`.",
    }
    return [
        SqliteIntegrity(Path(part.sqlite.path), f"{name}.sqlite.path", remedies[name])
        for name, part in (("event_store", settings.event_store), ("read_db", settings.read_db))
        if part.adapter == "sqlite"
    ]


def _disks(settings: Settings) -> list[Probe]:
    from adapters.system.disk import FreeDiskProbe

    return [
        FreeDiskProbe(Path(part.sqlite.path), f"{name}.sqlite.path")
        for name, part in (("event_store", settings.event_store), ("read_db", settings.read_db))
        if part.adapter == "sqlite"
    ]
