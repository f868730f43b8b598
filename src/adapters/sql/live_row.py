"""The row that names the live generation, and the checkpoints of a generation."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from adapters.sql.backend import SqlBackend
from adapters.sql.rows import from_checkpoint, to_checkpoint, to_live
from adapters.sql.tables import checkpoints, generations, read_db
from application.ports.read_db import Checkpoint, CheckpointMoved, LiveGeneration, lowest_checkpoint

SELECT_LIVE = select(read_db)
SELECT_CHECKPOINTS = (
    select(checkpoints).where(checkpoints.c.generation == bindparam("of")).order_by(checkpoints.c.partition)
)
LOCK_CHECKPOINTS = SELECT_CHECKPOINTS.with_for_update()
_MADE_AT = select(generations.c.started_at).where(generations.c.generation == 1)
_ID_LENGTH = 12


class LiveRow:
    def __init__(self, backend: SqlBackend) -> None:
        self._backend = backend

    def live(self) -> LiveGeneration:
        with self._backend.engine.connect() as connection:
            return to_live(connection.execute(SELECT_LIVE).one())

    def database_id(self) -> str:
        """When its tables were made tells it from others; where it is, from copies of it."""
        with self._backend.engine.connect() as connection:
            made_at: datetime | None = connection.execute(_MADE_AT).scalar_one_or_none()
            in_utc = made_at.astimezone(UTC).isoformat() if made_at else ""  # whatever the session's time zone is
            known_by = f"{in_utc} {self._backend.location(connection)}"
        return sha256(known_by.encode()).hexdigest()[:_ID_LENGTH]

    def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        with self._backend.engine.connect() as connection:
            return _checkpoints(connection, SELECT_CHECKPOINTS, generation)

    def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        with self._backend.writing() as connection:
            live = to_live(connection.execute(SELECT_LIVE.with_for_update()).one())
            require_live(live, generation)
            if live.log_id not in (None, log_id):
                return live
            if live.partitions != partitions:
                _spread(connection, live, _checkpoints(connection, LOCK_CHECKPOINTS, generation), partitions)
            connection.execute(update(read_db).values(log_id=log_id, partitions=partitions))
            return to_live(connection.execute(SELECT_LIVE).one())

    def mark_ready(self, generation: int) -> None:
        with self._backend.writing() as connection:
            done = connection.execute(update(read_db).where(read_db.c.generation == generation).values(ready=True))
            if done.rowcount == 0:
                require_live(to_live(connection.execute(SELECT_LIVE).one()), generation)


def require_live(live: LiveGeneration, generation: int, partitions: int | None = None) -> None:
    if live.generation != generation:
        raise CheckpointMoved(f"Generation {live.generation} is live, not {generation}.")
    if partitions not in (None, live.partitions):
        raise CheckpointMoved(f"The read database has {live.partitions} partitions now, not {partitions}.")


def _checkpoints(connection: Connection, statement: Select[*tuple[Any, ...]], generation: int) -> dict[int, Checkpoint]:
    return {row.partition: to_checkpoint(row) for row in connection.execute(statement, {"of": generation})}


def _spread(connection: Connection, live: LiveGeneration, stored: Mapping[int, Checkpoint], partitions: int) -> None:
    """Another number of partitions divides the posts in another way: each begins where the lowest of the old ones
    stands, because only up to there the rows are whole."""
    if not stored:
        return
    lowest = lowest_checkpoint(stored, live.partitions)
    new = [replace(lowest, partition=partition, topic_id=None, offset=None) for partition in range(partitions)]
    connection.execute(delete(checkpoints).where(checkpoints.c.generation == live.generation))
    connection.execute(insert(checkpoints), [from_checkpoint(live.generation, checkpoint) for checkpoint in new])
