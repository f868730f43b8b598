"""Make what a store needs before its first use: tables, indexes, topic. Used by `postlog init`; repeatable."""

from typing import Protocol


class Provisioning(Protocol):
    async def provision(self) -> list[str]:
        """Make what is missing and answer one sentence for each thing made; [] when all was there. Never drops
        anything.
        """
        ...

    async def check(self) -> str | None:
        """Raises `SchemaOutdated` with the command to run when what the service needs is not there. Returns a sentence
        on what it could not look at, if anything."""
        ...
