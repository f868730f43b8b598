"""A read database in this process's memory, gone when the process ends: rows, checkpoints, queries and audit.

For tests, and for trying Postlog out. `generations.py` has its rebuilds.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import nlargest, nsmallest
from uuid import uuid4

from application.partitioning import partition_of
from application.ports.audit_rows import AuditedPost, AuditStart, GenerationGone
from application.ports.generations import Build, BuildState
from application.ports.post_views import CommentKeyset, PostFilter, PostKey, PostWithComments, Stamp, Stamped
from application.ports.read_db import (
    Checkpoint,
    CheckpointMoved,
    Fold,
    LiveGeneration,
    ParkedStream,
    ProjectionBatch,
    RowChanges,
    RowKeys,
    Rows,
    Slot,
    lowest_checkpoint,
)
from application.rows import CommentKey, CommentRow, PostRow, PostStatus
from domain.ids import CommentId, PostId
from domain.names import name_key


@dataclass(slots=True)
class SlotRows:
    posts: dict[PostId, PostRow] = field(default_factory=dict)
    comments: defaultdict[PostId, dict[CommentId, CommentRow]] = field(default_factory=lambda: defaultdict(dict))

    def live_post(self, post_id: PostId) -> PostRow | None:
        post = self.posts.get(post_id)
        return post if post is not None and post.status is PostStatus.LIVE else None


_BEGINNING = datetime.fromtimestamp(0, UTC)
_FIRST_BUILD = Build(
    generation=1,
    slot="a",
    state=BuildState.LIVE,
    log_id=None,
    position=0,
    commit_id="",
    target=0,
    events=0,
    started_at=_BEGINNING,
    updated_at=_BEGINNING,
)


class MemoryReadDb:
    """Shared by the adapters of this folder. Belongs to one event loop. The task that holds `writing` has the only
    transaction that writes rows.
    """

    def __init__(self) -> None:
        self.id = uuid4().hex
        self.live = LiveGeneration(generation=1, slot="a", log_id=None, partitions=1, ready=False)
        self.slots: dict[Slot, SlotRows] = {"a": SlotRows(), "b": SlotRows()}
        self.checkpoints: defaultdict[int, dict[int, Checkpoint]] = defaultdict(dict)
        self.writing = asyncio.Lock()
        self.builds: dict[int, Build] = {1: _FIRST_BUILD}
        self.parked: defaultdict[int, dict[PostId, ParkedStream]] = defaultdict(dict)

    @property
    def live_rows(self) -> SlotRows:
        return self.slots[self.live.slot]

    @property
    def live_parked(self) -> dict[PostId, ParkedStream]:
        return self.parked[self.live.generation]

    def require_live(self, generation: int, partitions: int | None = None) -> None:
        if self.live.generation != generation:
            raise CheckpointMoved(f"Generation {self.live.generation} is live, not {generation}.")
        if partitions not in (None, self.live.partitions):
            raise CheckpointMoved(f"The read database has {self.live.partitions} partitions now, not {partitions}.")


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
                    "was moved by another projector."
                )
        rows, parked = self._read_db.live_rows, self._read_db.live_parked
        write_changes(rows, parked, fold(read_rows(rows, parked, batch.row_keys)))
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
        """Each new partition begins at the lowest position of the old ones."""
        live = self._read_db.live
        stored = self._read_db.checkpoints[live.generation]
        if not stored:
            return
        lowest = lowest_checkpoint(stored, live.partitions)
        self._read_db.checkpoints[live.generation] = {
            number: replace(lowest, partition=number, topic_id=None, offset=None) for number in range(partitions)
        }


def read_rows(rows: SlotRows, parked: Mapping[PostId, ParkedStream], row_keys: RowKeys) -> Rows:
    """The rows that a batch touches."""
    comments = {
        (post_id, comment_id): rows.comments[post_id][comment_id]
        for post_id, comment_id in row_keys.comments
        if comment_id in rows.comments[post_id]
    }
    return Rows(
        posts={post_id: rows.posts[post_id] for post_id in row_keys.posts if post_id in rows.posts},
        comments=comments,
        parked={post_id: parked[post_id] for post_id in row_keys.posts if post_id in parked},
    )


def write_changes(rows: SlotRows, parked: dict[PostId, ParkedStream], changes: RowChanges) -> None:
    """Write the changes of a fold."""
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


class MemoryParkedStreams:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db

    async def parked(self, limit: int = 100, after: PostId | None = None) -> list[ParkedStream]:
        waiting = (each for each in self._read_db.live_parked.values() if after is None or each.post_id > after)
        return nsmallest(limit, waiting, key=lambda each: each.post_id)

    async def parked_stream(self, post_id: PostId) -> ParkedStream | None:
        return self._read_db.live_parked.get(post_id)


_NEWEST_COMMENTS = 100


class MemoryPostViews:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db

    async def post(self, post_id: PostId) -> Stamped[PostWithComments | None]:
        post = self._read_db.live_rows.live_post(post_id)
        if post is None:
            return Stamped(self._stamp(post_id), None)
        newest = _newest_comments(self._comments_of(post_id), _NEWEST_COMMENTS)
        return Stamped(self._stamp(post_id), PostWithComments(post, newest))

    async def posts(self, wanted: PostFilter, limit: int, after: PostKey | None) -> Stamped[list[PostRow]]:
        matching = (post for post in self._read_db.live_rows.posts.values() if _matches(post, wanted))
        if after is not None:
            bound = (after.date_posted, after.post_id)
            matching = (post for post in matching if (post.date_posted, post.post_id) < bound)
        newest = nlargest(limit, matching, key=lambda post: (post.date_posted, post.post_id))
        return Stamped(self._stamp(), newest)

    async def comments(
        self, post_id: PostId, limit: int, after: CommentKeyset | None
    ) -> Stamped[list[CommentRow] | None]:
        if self._read_db.live_rows.live_post(post_id) is None:
            return Stamped(self._stamp(post_id), None)
        comments = self._comments_of(post_id)
        if after is not None:
            bound = (after.comment_date, after.comment_id)
            comments = [comment for comment in comments if (comment.comment_date, comment.comment_id) < bound]
        return Stamped(self._stamp(post_id), _newest_comments(comments, limit))

    async def stamp(self) -> Stamp:
        return self._stamp()

    def _comments_of(self, post_id: PostId) -> list[CommentRow]:
        return list(self._read_db.live_rows.comments[post_id].values())

    def _stamp(self, post_id: PostId | None = None) -> Stamp:
        live, parked = self._read_db.live, self._read_db.live_parked
        checkpoints = self._read_db.checkpoints[live.generation]
        waiting = None if post_id is None else parked.get(post_id)
        return Stamp(
            generation=live.generation,
            ready=live.ready,
            position=_position(checkpoints, live.partitions, post_id),
            parked=len(parked),
            post_parked_at=None if waiting is None else waiting.position,
        )


def _position(checkpoints: Mapping[int, Checkpoint], partitions: int, post_id: PostId | None) -> int:
    if post_id is None:
        return lowest_checkpoint(checkpoints, partitions).position
    own = checkpoints.get(partition_of(post_id, partitions))
    return own.position if own is not None else 0


def _newest_comments(comments: Iterable[CommentRow], limit: int) -> list[CommentRow]:
    return nlargest(limit, comments, key=lambda comment: (comment.comment_date, comment.comment_id))


def _matches(post: PostRow, wanted: PostFilter) -> bool:
    return (
        post.status is PostStatus.LIVE
        and (wanted.author is None or name_key(post.author) == name_key(wanted.author))
        and (wanted.has_comments is None or (post.comments_count > 0) is wanted.has_comments)
        and (wanted.min_likes is None or post.likes >= wanted.min_likes)
    )


class MemoryAuditRows:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db

    async def start(self) -> AuditStart:
        live = self._read_db.live
        lowest = lowest_checkpoint(self._read_db.checkpoints[live.generation], live.partitions)
        return AuditStart(live.generation, lowest.position, len(self._read_db.live_rows.posts))

    async def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        self._require(generation)
        post_ids = sorted(each for each in self._read_db.live_rows.posts if after is None or each > after)
        return [self._audited(post_id) for post_id in post_ids[:limit]]

    async def by_ids(self, generation: int, post_ids: Collection[PostId]) -> Sequence[AuditedPost]:
        self._require(generation)
        return [self._audited(post_id) for post_id in post_ids if post_id in self._read_db.live_rows.posts]

    async def parked(self, generation: int) -> frozenset[PostId]:
        self._require(generation)
        return frozenset(self._read_db.live_parked)

    async def orphans(self, generation: int, limit: int) -> Sequence[CommentKey]:
        self._require(generation)
        rows = self._read_db.live_rows
        found = [
            (post_id, comment_id)
            for post_id, comments in sorted(rows.comments.items())
            if post_id not in rows.posts
            for comment_id in sorted(comments)
        ]
        return found[:limit]

    def _audited(self, post_id: PostId) -> AuditedPost:
        rows = self._read_db.live_rows
        comments = rows.comments.get(post_id, {})
        return AuditedPost(rows.posts[post_id], [comments[comment_id] for comment_id in sorted(comments)])

    def _require(self, generation: int) -> None:
        if self._read_db.live.generation != generation:
            raise GenerationGone(f"Generation {self._read_db.live.generation} is live now, not {generation}.")
