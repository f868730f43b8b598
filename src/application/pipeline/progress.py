"""Where the partitions of this projector stand, as read and as stored."""

from collections.abc import Iterable
from typing import NamedTuple

from application.pipeline.assembling import PartitionReader
from application.ports.read_db import Checkpoint, CheckpointMove

_OFFSETS_BETWEEN_CHECKPOINTS = 1_000
"""A checkpoint whose position stands still is written again only after so many messages."""


class PassedOver(NamedTuple):
    """How many messages were seen before, and how many are not of this log."""

    repeated: int
    foreign: int


class Progress:
    def __init__(self) -> None:
        self.readers: dict[int, PartitionReader] = {}
        self.stored: dict[int, Checkpoint | None] = {}

    def add(self, reader: PartitionReader, stored: Checkpoint | None) -> None:
        self.readers[reader.partition] = reader
        self.stored[reader.partition] = stored

    def drop(self, partition: int) -> None:
        del self.readers[partition], self.stored[partition]

    def moves(self) -> list[CheckpointMove]:
        """From what is stored to what was read, where that is worth a write."""
        return [move for move in self._all_moves() if _is_worth_storing(move)]

    def note_stored(self, moves: Iterable[CheckpointMove]) -> None:
        for move in moves:
            self.stored[move.after.partition] = move.after

    def take_passed_over(self) -> PassedOver:
        """Since the last call."""
        passed = PassedOver(
            sum(reader.repeated for reader in self.readers.values()),
            sum(reader.foreign for reader in self.readers.values()),
        )
        for reader in self.readers.values():
            reader.repeated = reader.foreign = 0
        return passed

    def _all_moves(self) -> Iterable[CheckpointMove]:
        for partition, reader in self.readers.items():
            yield CheckpointMove(self.stored[partition], reader.checkpoint())


def _is_worth_storing(move: CheckpointMove) -> bool:
    before, after = move.before, move.after
    if before is None or before.position != after.position or before.topic_id != after.topic_id:
        return True
    return (after.offset or 0) - (before.offset or 0) >= _OFFSETS_BETWEEN_CHECKPOINTS
