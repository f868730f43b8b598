"""One batch of a projector, in one transaction.

The checkpoints are locked before anything is read, so no two projectors write one partition's rows at a time. The live
row is read after that, by a statement of its own: a swap locks the checkpoints too, and who waited behind one must see
what it did, which a statement that had begun before it would not.

A partition that begins has no checkpoint to lock. Then the live row is locked in its place, before any checkpoint:
shared, against swaps and against those who lock every checkpoint there is. These lock the live row for themselves.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, update
from sqlalchemy.exc import IntegrityError

from adapters.sql.backend import SqlBackend
from adapters.sql.live_row import LOCK_CHECKPOINTS, SELECT_LIVE, require_live
from adapters.sql.rows import AffectedRows, from_checkpoint, to_checkpoint, to_live
from adapters.sql.tables import checkpoints
from application.ports.read_db import Checkpoint, CheckpointMoved, Fold, ProjectionBatch, Slot

_LOCK = LOCK_CHECKPOINTS.where(checkpoints.c.partition.in_(bindparam("partitions", expanding=True)))
_MOVE = update(checkpoints).where(
    checkpoints.c.generation == bindparam("of"),
    checkpoints.c.partition == bindparam("moved"),
    checkpoints.c.position == bindparam("from_position"),
)


class Projecting:
    def __init__(self, backend: SqlBackend) -> None:
        self._backend = backend
        self._rows = AffectedRows(backend)

    def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        with self._backend.writing() as connection:
            slot = _lock(connection, batch)
            rows = self._rows.read(connection, slot, batch.generation, batch.row_keys)
            self._rows.write(connection, slot, batch.generation, fold(rows))
            for move in batch.moves:
                if move.before is not None and move.before != move.after:
                    _move(connection, batch.generation, move.before, move.after)


def _lock(connection: Connection, batch: ProjectionBatch) -> Slot:
    known = [move.before for move in batch.moves if move.before is not None]
    begun = [move.after for move in batch.moves if move.before is None]
    if known and not begun:
        _lock_known(connection, batch.generation, known)
        return _live_slot(connection, SELECT_LIVE, batch)
    slot = _live_slot(connection, SELECT_LIVE.with_for_update(read=bool(begun)), batch)
    if begun:
        _lock_known(connection, batch.generation, known)
        _begin(connection, batch.generation, begun)
    else:
        connection.execute(LOCK_CHECKPOINTS, {"of": batch.generation})
    return slot


def _live_slot(connection: Connection, statement: Select[*tuple[Any, ...]], batch: ProjectionBatch) -> Slot:
    live = to_live(connection.execute(statement).one())
    require_live(live, batch.generation, batch.partitions)
    return live.slot


def _lock_known(connection: Connection, generation: int, known: Sequence[Checkpoint]) -> None:
    partitions = [checkpoint.partition for checkpoint in known]
    found = connection.execute(_LOCK, {"of": generation, "partitions": partitions}) if known else ()
    stored = {row.partition: to_checkpoint(row) for row in found}
    for checkpoint in known:
        if stored.get(checkpoint.partition) != checkpoint:
            raise _moved(generation, checkpoint.partition)


def _begin(connection: Connection, generation: int, begun: Sequence[Checkpoint]) -> None:
    """The unique key lets one of several win; the others wait here until they know."""
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
    return CheckpointMoved(f"The checkpoint of partition {partition} in generation {generation} was moved by another.")
