"""Rows and checkpoints of a projector, in one transaction.

The checkpoints are locked before anything is read, so no two projectors write one partition's rows at a time. The live
row is read after that, by a statement of its own: a swap locks the checkpoints too, and a batch that waited behind a
swap must see its effect, which a statement that began before it would not.

A partition that begins has no checkpoint to lock. The live row is then locked in its place, before any checkpoint: in
shared mode, against swaps and against batches that lock every checkpoint. These lock the live row exclusively.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from adapters.sql.database import Database, SqlPort, in_thread
from adapters.sql.rows import AffectedRows, from_checkpoint, to_checkpoint, to_live
from adapters.sql.tables import checkpoints, generations, read_db
from application.ports.read_db import (
    Checkpoint,
    CheckpointMoved,
    Fold,
    LiveGeneration,
    ProjectionBatch,
    Slot,
    lowest_checkpoint,
)

SELECT_LIVE = select(read_db)
SELECT_CHECKPOINTS = (
    select(checkpoints).where(checkpoints.c.generation == bindparam("of")).order_by(checkpoints.c.partition)
)
LOCK_LIVE = SELECT_LIVE.with_for_update()
LOCK_CHECKPOINTS = SELECT_CHECKPOINTS.with_for_update()
_SHARE_LIVE = SELECT_LIVE.with_for_update(read=True)
_LOCK_KNOWN = LOCK_CHECKPOINTS.where(checkpoints.c.partition.in_(bindparam("partitions", expanding=True)))
_MOVE = update(checkpoints).where(
    checkpoints.c.generation == bindparam("of"),
    checkpoints.c.partition == bindparam("moved"),
    checkpoints.c.position == bindparam("from_position"),
)
_CREATED_AT = select(generations.c.started_at).where(generations.c.generation == 1)
_ID_LENGTH = 12


class SqlProjectionStore(SqlPort):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = AffectedRows(database.backend)

    @in_thread
    def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        with self._backend.writing() as connection:
            slot = _lock(connection, batch)
            rows = self._rows.read(connection, slot, batch.generation, batch.row_keys)
            self._rows.write(connection, slot, batch.generation, fold(rows))
            for move in batch.moves:
                if move.before is not None and move.before != move.after:
                    _move(connection, batch.generation, move.before, move.after)

    @in_thread
    def live(self) -> LiveGeneration:
        with self._backend.engine.connect() as connection:
            return to_live(connection.execute(SELECT_LIVE).one())

    @in_thread
    def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        with self._backend.engine.connect() as connection:
            return _checkpoints(connection, SELECT_CHECKPOINTS, generation)

    @in_thread
    def database_id(self) -> str:
        """The time at which the tables were created distinguishes it from others; its location, from copies of it."""
        with self._backend.engine.connect() as connection:
            created_at: datetime | None = connection.execute(_CREATED_AT).scalar_one_or_none()
            in_utc = created_at.astimezone(UTC).isoformat() if created_at else ""  # whatever the session's time zone
            identity = f"{in_utc} {self._backend.location(connection)}"
        return sha256(identity.encode()).hexdigest()[:_ID_LENGTH]

    @in_thread
    def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        with self._backend.writing() as connection:
            live = to_live(connection.execute(LOCK_LIVE).one())
            _require_live(live, generation)
            if live.log_id not in (None, log_id):
                return live
            if live.partitions != partitions:
                _repartition(connection, live, _checkpoints(connection, LOCK_CHECKPOINTS, generation), partitions)
            connection.execute(update(read_db).values(log_id=log_id, partitions=partitions))
            return to_live(connection.execute(SELECT_LIVE).one())

    @in_thread
    def mark_ready(self, generation: int) -> None:
        with self._backend.writing() as connection:
            done = connection.execute(update(read_db).where(read_db.c.generation == generation).values(ready=True))
            if done.rowcount == 0:
                _require_live(to_live(connection.execute(SELECT_LIVE).one()), generation)


def _lock(connection: Connection, batch: ProjectionBatch) -> Slot:
    known = [move.before for move in batch.moves if move.before is not None]
    begun = [move.after for move in batch.moves if move.before is None]
    if known and not begun:
        _lock_known(connection, batch.generation, known)
        return _live_slot(connection, SELECT_LIVE, batch)
    slot = _live_slot(connection, _SHARE_LIVE if begun else LOCK_LIVE, batch)
    if begun:
        _lock_known(connection, batch.generation, known)
        _begin(connection, batch.generation, begun)
    else:
        connection.execute(LOCK_CHECKPOINTS, {"of": batch.generation})
    return slot


def _live_slot(connection: Connection, statement: Select[*tuple[Any, ...]], batch: ProjectionBatch) -> Slot:
    live = to_live(connection.execute(statement).one())
    _require_live(live, batch.generation, batch.partitions)
    return live.slot


def _lock_known(connection: Connection, generation: int, known: Sequence[Checkpoint]) -> None:
    partitions = [checkpoint.partition for checkpoint in known]
    found = connection.execute(_LOCK_KNOWN, {"of": generation, "partitions": partitions}) if known else ()
    stored = {row.partition: to_checkpoint(row) for row in found}
    for checkpoint in known:
        if stored.get(checkpoint.partition) != checkpoint:
            raise _moved(generation, checkpoint.partition)


def _begin(connection: Connection, generation: int, begun: Sequence[Checkpoint]) -> None:
    """The unique key lets one of several projectors win; the others wait here for its transaction."""
    for checkpoint in begun:
        try:
            connection.execute(insert(checkpoints), from_checkpoint(generation, checkpoint))
        except IntegrityError as error:
            raise _moved(generation, checkpoint.partition) from error


def _move(connection: Connection, generation: int, before: Checkpoint, after: Checkpoint) -> None:
    which = {"of": generation, "moved": before.partition, "from_position": before.position}
    if connection.execute(_MOVE.values(from_checkpoint(generation, after)), which).rowcount != 1:
        raise _moved(generation, before.partition)


def _moved(generation: int, partition: int) -> CheckpointMoved:
    return CheckpointMoved(f"Another process moved the checkpoint of partition {partition} in generation {generation}.")


def _require_live(live: LiveGeneration, generation: int, partitions: int | None = None) -> None:
    if live.generation != generation:
        raise CheckpointMoved(f"Generation {live.generation} is live, not {generation}.")
    if partitions not in (None, live.partitions):
        raise CheckpointMoved(f"The read database has {live.partitions} partitions now, not {partitions}.")


def _checkpoints(connection: Connection, statement: Select[*tuple[Any, ...]], generation: int) -> dict[int, Checkpoint]:
    return {row.partition: to_checkpoint(row) for row in connection.execute(statement, {"of": generation})}


def _repartition(
    connection: Connection, live: LiveGeneration, stored: Mapping[int, Checkpoint], partitions: int
) -> None:
    """Another number of partitions divides the posts in another way: each new one begins at the lowest old checkpoint,
    because the rows are complete only up to there."""
    if not stored:
        return
    lowest = lowest_checkpoint(stored, live.partitions)
    new = [replace(lowest, partition=partition, topic_id=None, offset=None) for partition in range(partitions)]
    connection.execute(delete(checkpoints).where(checkpoints.c.generation == live.generation))
    connection.execute(insert(checkpoints), [from_checkpoint(live.generation, checkpoint) for checkpoint in new])
