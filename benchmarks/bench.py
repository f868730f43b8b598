"""What the measurements share: servers, sizes, and Postlog itself as its composition root builds it."""

import functools
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from entrypoints.cli.running import relax_gc
from entrypoints.composition.container import Container, container_for
from entrypoints.composition.resources import Resources
from entrypoints.settings.model import (
    Bus,
    EventStore,
    Kafka,
    Mongo,
    Postgres,
    ReadDb,
    Settings,
    SqliteLog,
    SqliteReadDb,
)
from entrypoints.settings.secret import Secret
from local.databases import fresh_mongo_database, fresh_postgres_database
from local.find import Servers

POSTLOG = str(Path(sys.executable).with_name("postlog"))


class SharedServers:
    """One of each for the whole run, started when first asked for: both sides of a comparison meet the same server."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    @functools.cached_property
    def mongo_url(self) -> str:
        return self._servers.mongo_url()

    @functools.cached_property
    def postgres_url(self) -> str:
        return self._servers.postgres_url()

    @functools.cached_property
    def kafka_bootstrap(self) -> str:
        return self._servers.kafka_bootstrap()


@dataclass(frozen=True, slots=True)
class Bench:
    """One measurement's surroundings: what it opens is gone after it. `quick` is a tenth of the events: to see that it
    works, not to quote."""

    servers: SharedServers
    folder: Path
    rounds: int
    quick: bool
    stack: ExitStack

    def size(self, full: int) -> int:
        return max(full // 10, 1) if self.quick else full

    def empty_mongo(self) -> EventStore:
        database = self.stack.enter_context(fresh_mongo_database(self.servers.mongo_url))
        return EventStore(adapter="mongo", mongo=Mongo(url=Secret(database.url), database=database.name))

    def empty_postgres(self) -> ReadDb:
        url = self.stack.enter_context(fresh_postgres_database(self.servers.postgres_url))
        return ReadDb(adapter="postgres", postgres=Postgres(url=Secret(url)))

    def sqlite(self, name: str) -> Settings:
        """Log and read database in files that are made when they are first opened."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return Settings(
            event_store=EventStore(sqlite=SqliteLog(path=str(folder / "log.sqlite"))),
            read_db=ReadDb(sqlite=SqliteReadDb(path=str(folder / "read.sqlite"))),
        )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Container]:
    """With log, commands and read database open, and a garbage collector as in a process of Postlog."""
    container = container_for(settings)
    async with Resources(container) as resources:
        await resources.open_log()
        await resources.open_commands()
        await resources.open_read_db()
        relax_gc()
        yield container


async def provision(settings: Settings) -> None:
    """As `postlog init` does."""
    async with opened(settings) as container:
        for part in (container.log(), container.read_db(), container.bus()):
            if part is not None and part.provisioning is not None:
                await part.provisioning.provision()


async def make_topic(kafka: Kafka) -> None:
    """Returns when it has its leaders."""
    bus = container_for(Settings(bus=Bus(adapter="kafka", kafka=kafka))).bus()
    await bus.provisioning.provision()


def new_topic(bootstrap: str) -> Kafka:
    """A name that no topic has yet."""
    return Kafka(bootstrap_servers=bootstrap, topic=f"bench-{uuid.uuid4().hex[:12]}", partitions=3)


def environment(settings: Settings) -> dict[str, str]:
    """For a process of its own: this one's environment, and what leads to the same log, topic and read database."""
    log, bus, read_db = settings.event_store, settings.bus, settings.read_db
    return {
        **os.environ,
        "POSTLOG__EVENT_STORE__ADAPTER": log.adapter,
        "POSTLOG__EVENT_STORE__SQLITE__PATH": log.sqlite.path,
        "POSTLOG__EVENT_STORE__MONGO__URL": log.mongo.url.reveal(),
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": log.mongo.database,
        "POSTLOG__BUS__ADAPTER": bus.adapter,
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": bus.kafka.bootstrap_servers,
        "POSTLOG__BUS__KAFKA__TOPIC": bus.kafka.topic,
        "POSTLOG__BUS__KAFKA__PARTITIONS": str(bus.kafka.partitions),
        "POSTLOG__READ_DB__ADAPTER": read_db.adapter,
        "POSTLOG__READ_DB__SQLITE__PATH": read_db.sqlite.path,
        "POSTLOG__READ_DB__POSTGRES__URL": read_db.postgres.url.reveal(),
        "POSTLOG__LOG__LEVEL": "warning",
    }
