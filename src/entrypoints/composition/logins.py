"""The service's logins on the servers that the settings choose, made by administrators. Each builder imports its own
driver, and no other."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from application.ports.provisioning import Logins
from entrypoints.settings.administrators import Administrators
from entrypoints.settings.model import Mongo, Postgres, Settings, SqlServer
from entrypoints.settings.secret import Secret

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
