"""Does the read database answer, and has it the tables that this version needs?"""

from adapters.sql.database import SqlDatabase
from application.errors import ReadDbUnavailable, SchemaOutdated
from application.ports.probes import ProbeResult

_SECONDS = 2.0


class SqlProbe:
    name = "read_db"

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def probe(self) -> ProbeResult:
        try:
            await self._database.run(lambda opened: opened.schema.check(), _SECONDS)
        except (ReadDbUnavailable, SchemaOutdated) as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        return ProbeResult(self.name, ok=True, detail=f"The read database {self._database.address.place} answers.")
