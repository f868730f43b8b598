"""Makes the tables of a SQL read database, and brings older ones up to date. The work itself is `schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.sql.database import SqlDatabase

if TYPE_CHECKING:
    from adapters.sql.open_database import OpenDatabase


class SqlProvisioning:
    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def provision(self) -> list[str]:
        """Raises `SchemaOutdated` when a newer version of Postlog made the tables."""
        return await self._database.run(lambda opened: opened.schema.provision())

    async def check(self) -> None:
        """Raises also for a database that takes no writes, and for a login without the rights."""
        await self._database.run(_check)


def _check(opened: OpenDatabase) -> None:
    opened.schema.check()
    opened.schema.check_writable()
    opened.schema.check_rights()
