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
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, NoResultFound

from adapters.sql.backend import Row, Step
from adapters.sql.database import Database, SqlPort, in_thread
from adapters.sql.rows import AffectedRows, from_checkpoint, to_checkpoint, to_live
from adapters.sql.tables import checkpoints, generations, read_db
from application.ports.read_db import (
    Checkpoint,
    CheckpointMoved,
    Fold,
    LiveGeneration,
    ProjectionBatch,
    Rows,
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
_LOCK_KNOWN = LOCK_CHECKPOINTS.where(checkpoints.c.partition == bindparam("known"))
_MOVED = [column.name for column in checkpoints.c if not column.primary_key]
_BEGIN = insert(checkpoints)
_MOVE = (
    update(checkpoints)
    .where(
        checkpoints.c.generation == bindparam("of"),
        checkpoints.c.partition == bindparam("known"),
        checkpoints.c.position == bindparam("from_position"),
    )
    .values({name: bindparam(f"new_{name}") for name in _MOVED})
)
_CREATED_AT = select(generations.c.started_at).where(generations.c.generation == 1)
_ID_LENGTH = 12


class SqlProjectionStore(SqlPort):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = AffectedRows(database.backend)
        self._slot: Slot = "a"

    @in_thread
    def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        with self._backend.writing_together() as connection:
            if not batch.moves or any(move.before is None for move in batch.moves):
                self._lock_live(connection, batch)
            slot, rows = self._lock_and_read(connection, batch)
            self._rows.write(connection, slot, batch.generation, fold(rows))

    def _lock_live(self, connection: Connection, batch: ProjectionBatch) -> None:
        """Where a partition begins, or every checkpoint is to be locked."""
        [rows] = self._backend.execute(connection, [(_SHARE_LIVE if batch.moves else LOCK_LIVE, {})])
        _require_live(_live_of(rows), batch.generation, batch.partitions)
        if not batch.moves:
            self._backend.execute(connection, [(LOCK_CHECKPOINTS, {"of": batch.generation})])
        for move in batch.moves:
            if move.before is None:
                self._begin(connection, batch.generation, move.after)

    def _begin(self, connection: Connection, generation: int, checkpoint: Checkpoint) -> None:
        """The unique key lets one of several projectors win; the others wait here for its transaction."""
        try:
            self._backend.execute(connection, [(_BEGIN, from_checkpoint(generation, checkpoint))])
        except IntegrityError as error:
            raise _moved(generation, checkpoint.partition) from error

    def _lock_and_read(self, connection: Connection, batch: ProjectionBatch) -> tuple[Slot, Rows]:
        """All of this is executed together. So the checkpoints are moved before the locked ones are compared, which an
        error undoes; and the rows are read in the slot that was live at the last batch, again if another one is now."""
        generation, slot = batch.generation, self._slot
        known = {move.before.partition: move.before for move in batch.moves if move.before is not None}
        moved = [move.after for move in batch.moves if move.before not in (None, move.after)]
        locks = [_lock(generation, partition) for partition in sorted(known)]
        moves = [_move(generation, known[after.partition], after) for after in moved]
        steps = [*locks, *moves, (SELECT_LIVE, {})]
        results, rows = self._rows.read_after(connection, steps, slot, generation, batch.row_keys)
        stored = {row.partition: row for row in map(to_checkpoint, chain(*results[: len(known)]))}
        for partition, before in known.items():
            if stored.get(partition) != before:
                raise _moved(generation, partition)
        live = _live_of(results[len(steps) - 1])
        _require_live(live, generation, batch.partitions)
        for (_, values), changed in zip(moves, results[len(known) :], strict=False):
            if changed != [(1,)]:
                raise _moved(generation, values["known"])
        if live.slot != slot:
            self._slot = live.slot
            rows = self._rows.read(connection, live.slot, generation, batch.row_keys)
        return live.slot, rows

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


def _lock(generation: int, partition: int) -> Step:
    return _LOCK_KNOWN, {"of": generation, "known": partition}


def _move(generation: int, before: Checkpoint, after: Checkpoint) -> Step:
    new = from_checkpoint(generation, after)
    values = {"of": generation, "known": before.partition, "from_position": before.position}
    return _MOVE, {**values, **{f"new_{name}": new[name] for name in _MOVED}}


def _live_of(rows: Sequence[Row]) -> LiveGeneration:
    if len(rows) != 1:
        raise NoResultFound
    return to_live(rows[0])


def _moved(generation: int, partition: int) -> CheckpointMoved:
    return CheckpointMoved(f"Another process moved the checkpoint of partition {partition} in generation {generation}.")


def _require_live(live: LiveGeneration, generation: int, partitions: int | None = None) -> None:
    if live.generation != generation:
        raise CheckpointMoved(f"Generation {live.generation} is live, not {generation}.")
    if partitions not in (None, live.partitions):
        raise CheckpointMoved(f"The read database has {live.partitions} partitions now, not {partitions}.")


def _checkpoints(connection: Connection, statement: Select[*tuple[Any, ...]], generation: int) -> dict[int, Checkpoint]:
    found = [to_checkpoint(row) for row in connection.execute(statement, {"of": generation})]
    return {checkpoint.partition: checkpoint for checkpoint in found}


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
