"""Rows and checkpoint of a SQL read database, in one transaction. The work itself is `projecting` and `live_row`."""

from adapters.sql.database import SqlDatabase
from application.ports.read_db import Checkpoint, Fold, LiveGeneration, ProjectionBatch


class SqlProjectionStore:
    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    async def live(self) -> LiveGeneration:
        return await self._database.run(lambda opened: opened.live_row.live())

    async def database_id(self) -> str:
        return await self._database.run(lambda opened: opened.live_row.database_id())

    async def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        return await self._database.run(lambda opened: opened.live_row.checkpoints(generation))

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        await self._database.run(lambda opened: opened.projecting.project(batch, fold))

    async def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        return await self._database.run(lambda opened: opened.live_row.claim(generation, log_id, partitions))

    async def mark_ready(self, generation: int) -> None:
        await self._database.run(lambda opened: opened.live_row.mark_ready(generation))
