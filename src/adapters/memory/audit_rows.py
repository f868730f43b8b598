"""The rows of the memory read database, for the audit."""

from collections.abc import Collection, Sequence

from adapters.memory.read_db import MemoryReadDb
from application.ports.audit_rows import AuditedPost, AuditStart, GenerationGone
from application.rows import CommentKey
from domain.ids import PostId


class MemoryAuditRows:
    def __init__(self, read_db: MemoryReadDb) -> None:
        self._read_db = read_db

    async def start(self) -> AuditStart:
        live = self._read_db.live
        checkpoints = self._read_db.checkpoints[live.generation]
        positions = [checkpoints[number].position if number in checkpoints else 0 for number in range(live.partitions)]
        return AuditStart(live.generation, min(positions), len(self._read_db.live_rows.posts))

    async def page(self, generation: int, after: PostId | None, limit: int) -> Sequence[AuditedPost]:
        self._require(generation)
        post_ids = sorted(each for each in self._read_db.live_rows.posts if after is None or each > after)
        return [self._audited(post_id) for post_id in post_ids[:limit]]

    async def some(self, generation: int, post_ids: Collection[PostId]) -> Sequence[AuditedPost]:
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
