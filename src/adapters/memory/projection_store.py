"""Rows and checkpoint of a read database in memory, in one transaction."""

from collections.abc import Mapping
from dataclasses import replace

from adapters.memory.read_db import MemoryReadDb, SlotRows
from application.ports.read_db import (
    Checkpoint,
    CheckpointMoved,
    Fold,
    LiveGeneration,
    ParkedStream,
    ProjectionBatch,
    RowChanges,
    Rows,
    Touched,
)
from domain.ids import PostId


class MemoryProjectionStore:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db

    async def live(self) -> LiveGeneration:
        return self._read_db.live

    async def database_id(self) -> str:
        return self._read_db.id

    async def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        return dict(self._read_db.checkpoints[generation])

    async def project(self, batch: ProjectionBatch, fold: Fold) -> None:
        async with self._read_db.writing:
            self._project(batch, fold)

    def _project(self, batch: ProjectionBatch, fold: Fold) -> None:
        self._read_db.require_live(batch.generation, batch.partitions)
        checkpoints = self._read_db.checkpoints[batch.generation]
        for move in batch.moves:
            if checkpoints.get(move.after.partition) != move.before:
                raise CheckpointMoved(
                    f"The checkpoint of partition {move.after.partition} in generation {batch.generation} "
                    "was moved by another."
                )
        rows, parked = self._read_db.live_rows, self._read_db.live_parked
        write_changes(rows, parked, fold(read_rows(rows, parked, batch.touched)))
        checkpoints.update({move.after.partition: move.after for move in batch.moves})

    async def claim(self, generation: int, log_id: str, partitions: int) -> LiveGeneration:
        self._read_db.require_live(generation)
        live = self._read_db.live
        if live.log_id in (None, log_id):
            if live.partitions != partitions:
                self._spread(partitions)
            self._read_db.live = replace(live, log_id=log_id, partitions=partitions)
        return self._read_db.live

    async def mark_ready(self, generation: int) -> None:
        self._read_db.require_live(generation)
        self._read_db.live = replace(self._read_db.live, ready=True)

    def _spread(self, partitions: int) -> None:
        """Each new partition begins where the lowest of the old ones stands."""
        live = self._read_db.live
        stored = self._read_db.checkpoints[live.generation]
        if not stored:
            return
        old = [stored.get(number, Checkpoint(partition=number, position=0)) for number in range(live.partitions)]
        lowest = min(old, key=lambda checkpoint: checkpoint.position)
        self._read_db.checkpoints[live.generation] = {
            number: replace(lowest, partition=number, topic_id=None, offset=None) for number in range(partitions)
        }


def read_rows(rows: SlotRows, parked: Mapping[PostId, ParkedStream], touched: Touched) -> Rows:
    """What of these rows a batch touches."""
    comments = {
        (post_id, comment_id): rows.comments[post_id][comment_id]
        for post_id, comment_id in touched.comments
        if comment_id in rows.comments[post_id]
    }
    return Rows(
        posts={post_id: rows.posts[post_id] for post_id in touched.posts if post_id in rows.posts},
        comments=comments,
        parked={post_id: parked[post_id] for post_id in touched.posts if post_id in parked},
    )


def write_changes(rows: SlotRows, parked: dict[PostId, ParkedStream], changes: RowChanges) -> None:
    """Write what a fold wants written."""
    for post_id in changes.cleared:
        rows.comments.pop(post_id, None)
    for post_id, comment_id in changes.comments_removed:
        rows.comments[post_id].pop(comment_id, None)
    for comment in changes.comments:
        rows.comments[comment.post_id][comment.comment_id] = comment
    for post_id in changes.deleted:
        rows.posts.pop(post_id, None)
    rows.posts.update({post.post_id: post for post in changes.posts})
    parked.update({each.post_id: each for each in changes.parked})
    for post_id in changes.unparked:
        parked.pop(post_id, None)
