"""Rebuilds that do not run where they are asked for."""

from typing import Protocol


class RebuildProcess(Protocol):
    async def start(self, adapter: str) -> int:
        """Begin a rebuild into the read database `adapter`, or go on with an unfinished one, beside this process's own
        work; it ends with this process at the latest. Answers the generation once that has the database to itself.
        Raises `RebuildRunning`, `RebuildNotBegun`, `Unavailable`, `SchemaOutdated`, `CannotOpen`.
        """
        ...
