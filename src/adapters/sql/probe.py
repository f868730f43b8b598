"""Does the read database answer, has it the tables that this version needs, and does it take writes from who writes?"""

from typing import TYPE_CHECKING

from adapters.sql.database import SqlDatabase
from application.errors import ReadDbUnavailable, SchemaOutdated
from application.ports.provisioning import ProbeResult

if TYPE_CHECKING:
    from adapters.sql.open_database import OpenDatabase

_SECONDS = 5.0
"""A first connection, with TLS and a login, takes seconds where the machine is busy."""


class SqlProbe:
    name = "read_db"

    def __init__(self, database: SqlDatabase, *, for_writing: bool = False) -> None:
        """`for_writing` as a projector asks: readers may use a replica."""
        self._database = database
        self._for_writing = for_writing

    async def probe(self) -> ProbeResult:
        try:
            await self._database.run(self._check, _SECONDS)
        except (ReadDbUnavailable, SchemaOutdated) as error:
            return ProbeResult(self.name, ok=False, detail=error.message)
        return ProbeResult(self.name, ok=True, detail=f"The read database {self._database.address.place} answers.")

    def _check(self, opened: "OpenDatabase") -> None:
        opened.schema.check()
        if self._for_writing:
            opened.schema.check_writable()
