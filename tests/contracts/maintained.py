"""`Maintained` from the adapters of memory and of SQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters.memory.generations import MemoryGenerations
from adapters.memory.read_db import MemoryAuditRows, MemoryReadDb
from adapters.sql.read_db import (
    SqlAuditRows,
    SqlGenerations,
    SqlParkedStreams,
    SqlPostViews,
    SqlProjectionStore,
    SqlProvisioning,
    SqlReadDb,
)
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
            await SqlProvisioning(database).provision()
            read_side = ReadSide(SqlProjectionStore(database), SqlPostViews(database), SqlParkedStreams(database))
            yield Maintained(read_side, SqlGenerations(database), SqlAuditRows(database))

    return opened
