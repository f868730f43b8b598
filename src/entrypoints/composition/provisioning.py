"""`postlog init` creates indexes, topic, database and tables and, with administrators' addresses, the service's logins.
Each builder of logins imports its own driver, and no other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from application.ports.provisioning import Logins
from domain.errors import PostlogError
from entrypoints.composition.bootstrap import prepare
from entrypoints.composition.bus import BusParts
from entrypoints.composition.container import container_for
from entrypoints.composition.log import LogParts
from entrypoints.composition.read_db import ReadDbParts
from entrypoints.composition.resources import Resources
from entrypoints.settings.administrators import Administrators
from entrypoints.settings.loading import LoadedSettings
from entrypoints.settings.model import Mongo, Postgres, Settings, SqlServer
from entrypoints.settings.secret import Secret

_Part = LogParts | BusParts | ReadDbParts


@dataclass(frozen=True, slots=True)
class NotMade:
    """Something that `part` needs could not be created. `reason` is a sentence."""

    part: str
    reason: str


async def provisioned(loaded: LoadedSettings, administrators: Administrators) -> AsyncIterator[str | NotMade]:
    """Create what is missing; yields a sentence for each thing created. Where an administrator's address is given, that
    login creates the contents of the database, and then the service's login. A part whose server does not respond or
    refuses does not keep the others from being created. Raises `LoginNotMade` and `CannotOpen` before anything is
    created."""
    container = prepare(loaded, "init", make_tables=False)  # otherwise the tables would exist before they are reported
    logins = chosen_logins(loaded.settings, administrators)
    if logins:
        container = container_for(as_administrators(loaded.settings, logins), make_tables=False)
    made_by_opening = {"event_store": _log_file_to_make(loaded.settings)}
    by_part = {path.partition(".")[0]: each for path, each in logins.items()}
    async with Resources(container) as resources:
        for part, opened in (
            ("event_store", resources.open_log),
            ("bus", resources.open_bus),
            ("read_db", resources.open_read_db),
        ):
            try:
                async for sentence in _provisioned(opened, by_part.get(part), made_by_opening.get(part)):
                    yield sentence
            except PostlogError as error:
                yield NotMade(part, error.message)


def _log_file_to_make(settings: Settings) -> str | None:
    """A sentence for the file that opening a log on SQLite creates; None when it exists already."""
    if settings.event_store.adapter != "sqlite":
        return None
    path = Path(settings.event_store.sqlite.path)
    is_there = path.exists() and path.stat().st_size > 0
    return None if is_there else f"Created the event log {path}: a SQLite file with its tables."


async def _provisioned(
    opened: Callable[[], Awaitable[_Part | None]], login: Logins | None, made_by_opening: str | None
) -> AsyncIterator[str]:
    for sentence in await login.make_database() if login is not None else ():
        yield sentence
    part = await opened()
    if made_by_opening is not None:
        yield made_by_opening
    if part is not None and part.provisioning is not None:
        for sentence in await part.provisioning.provision():
            yield sentence
    for sentence in await login.make_login() if login is not None else ():
        yield sentence


LoginsByServer = Mapping[str, Logins]
"""By the path of the server's settings: `read_db.postgres`."""


def chosen_logins(settings: Settings, administrators: Administrators) -> LoginsByServer:
    """Of the servers that the settings choose, those whose administrator is given: other administrators' addresses are
    not used. Raises `LoginNotMade` for an address that names too little, `CannotOpen` for a driver that is missing."""
    chosen: dict[str, Logins] = {}
    if settings.event_store.adapter == "mongo" and administrators.mongo:
        chosen["event_store.mongo"] = _mongo(settings.event_store.mongo, administrators.mongo)
    if settings.read_db.adapter == "postgres" and administrators.postgres:
        chosen["read_db.postgres"] = _postgres(settings.read_db.postgres, administrators.postgres)
    if settings.read_db.adapter == "sqlserver" and administrators.sqlserver:
        chosen["read_db.sqlserver"] = _sqlserver(settings.read_db.sqlserver, administrators.sqlserver)
    return chosen


def as_administrators(settings: Settings, logins: LoginsByServer) -> Settings:
    """With the addresses by which indexes and tables are made in place of the service's own."""
    changed: Any = settings
    for path, each in logins.items():
        part, server = path.split(".")
        group = getattr(changed, part)
        administered = replace(getattr(group, server), url=Secret(each.tables_url))
        changed = replace(changed, **{part: replace(group, **{server: administered})})
    return changed  # type: ignore[no-any-return]


def _mongo(service: Mongo, administrator: Secret) -> Logins:
    from adapters.mongo.logins import MongoLogins

    return MongoLogins(administrator.reveal(), service.url.reveal(), service.database)


def _postgres(service: Postgres, administrator: Secret) -> Logins:
    from adapters.postgres.read_db import require_driver

    require_driver()
    from adapters.postgres.logins import PostgresLogins

    return PostgresLogins(administrator.reveal(), service.url.reveal())


def _sqlserver(service: SqlServer, administrator: Secret) -> Logins:
    from adapters.sqlserver.logins import SqlServerLogins

    return SqlServerLogins(administrator.reveal(), service.url.reveal())
