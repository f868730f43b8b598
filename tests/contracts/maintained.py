"""`Maintained` from the adapters of memory and of SQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters.memory.generations import MemoryGenerations
from adapters.memory.read_db import MemoryAuditRows, MemoryReadDb
from adapters.sql.read_db import SqlReadDb
from contracts.rebuilding import Maintained, OpenMaintained
from small_system import ReadSide, in_memory


def maintained_in_memory() -> OpenMaintained:
    read_db = MemoryReadDb()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Maintained]:
        yield Maintained(in_memory(read_db), MemoryGenerations(read_db), MemoryAuditRows(read_db))

    return opened


def maintained_in_sql(new_sql_database: Callable[[], SqlReadDb]) -> OpenMaintained:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Maintained]:
        async with new_sql_database() as database:
            await database.provisioning.provision()
            read_side = ReadSide(database.projection_store, database.post_views, database.parked_streams)
            yield Maintained(read_side, database.generations, database.audit_rows)

    return opened
