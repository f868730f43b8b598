"""Whether a SQLite file is sound. The whole file is read, so `postlog doctor` checks this, and readiness does not."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from application.ports.provisioning import ProbeResult

_BUSY_SECONDS = 5.0


class SqliteIntegrity:
    """`setting` is the one that names the file, `remedy` is what to do with a damaged one."""

    def __init__(self, path: Path, setting: str, remedy: str) -> None:
        self.name = f"integrity of {setting}"
        self._path = path
        self._remedy = remedy

    async def probe(self) -> ProbeResult:
        found = await asyncio.to_thread(self._problems)
        if not found:
            return ProbeResult(self.name, ok=True, detail=f"SQLite found no damage in {self._path}.")
        return ProbeResult(self.name, ok=False, detail=f"{self._path} is damaged: {found[0]}. {self._remedy}")

    def _problems(self) -> list[str]:
        try:
            address = f"{self._path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as connection:
                return problems(connection)
        except sqlite3.Error as error:
            return [str(error)]


def problems(connection: sqlite3.Connection, *, quick: bool = False) -> list[str]:
    """The damage that SQLite finds in the whole file: at most ten clauses. `quick`: it does not compare indexes with
    their tables."""
    try:
        found = [row[0] for row in connection.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check(10)")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else [" ".join(each.split()) for each in found]
