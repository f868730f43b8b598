"""What the measurements share: servers, sizes, and Postlog itself as its composition root builds it."""

import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from entrypoints.composition.container import Container, container_for
from entrypoints.composition.lifetime import Lifetime
from entrypoints.settings.model import (
    EventStore,
    Mongo,
    Postgres,
    ReadDb,
    Settings,
    SqliteLog,
    SqliteReadDb,
)
from entrypoints.settings.secret import Secret
from local.databases import fresh_postgres_database
from local.find import Servers

POSTLOG = str(Path(sys.executable).with_name("postlog"))


@dataclass(frozen=True, slots=True)
class Bench:
    """`quick` measures on a tenth of the events: to see that it works, not to quote."""

    servers: Servers
    folder: Path
    rounds: int
    quick: bool
    _filled: dict[str, object] = field(default_factory=dict)

    def size(self, full: int) -> int:
        return max(full // 10, 1) if self.quick else full

    def mongo_settings(self, database: str | None = None) -> EventStore:
        """Of an empty log, unless `database` names one."""
        url = Secret(self.servers.mongo_url())
        return EventStore(adapter="mongo", mongo=Mongo(url=url, database=database or f"bench_{uuid.uuid4().hex[:12]}"))

    def sqlite_settings(self, name: str) -> Settings:
        """Log and read database in files of a folder of their own, both new where they are not there yet."""
        folder = self.folder / name
        return Settings(
            event_store=EventStore(sqlite=SqliteLog(path=str(folder / "log.sqlite"))),
            read_db=ReadDb(sqlite=SqliteReadDb(path=str(folder / "read.sqlite"))),
        )

    def postgres_database(self) -> str:
        """SQLAlchemy's URL of an empty database; it goes with the server, or stays until somebody drops it."""
        with_it = fresh_postgres_database(self.servers.postgres_url())
        url = with_it.__enter__()
        self._filled[url] = with_it
        return url

    def close(self) -> None:
        from contextlib import AbstractContextManager

        for kept in self._filled.values():
            if isinstance(kept, AbstractContextManager):
                kept.__exit__(None, None, None)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Container]:
    """With log, commands and read database open."""
    container = container_for(settings)
    async with Lifetime(container) as lifetime:
        await lifetime.open_log()
        await lifetime.open_commands()
        await lifetime.open_read_db()
        yield container
