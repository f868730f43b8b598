"""Makes the tables of a SQL read database, and brings older ones up to date. The work itself is `schema`."""

from adapters.sql.database import SqlDatabase


class SqlProvisioning:
    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def provision(self) -> list[str]:
        """Raises `SchemaOutdated` when a newer version of Postlog made the tables."""
        return await self._database.run(lambda opened: opened.schema.provision())

    async def check(self) -> None:
        await self._database.run(lambda opened: opened.schema.check())
