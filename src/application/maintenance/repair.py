"""Repair: rewrites the rows of single posts from the log, beside running projectors.

The checkpoints are locked first, as projectors do, so no projector writes meanwhile. If a projector has moved a row
past our fold by then, the post is folded again; a row that is past the log itself is wrong, and is replaced. Before
that, the log must prove where it ends: a read right after a failover may be stale.
"""

from dataclasses import dataclass

from application.errors import EventNotApplicable, StreamDamaged
from application.log_order import require_next
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.read_db import ProjectionBatch, ProjectionStore, RowChanges, RowKeys, Rows
from application.projections.post import WholePost
from domain.errors import EventNotReadable
from domain.ids import PostId

_COMMITS_A_READ = 1_000


class _RowIsAhead(Exception):
    """The row, or what is parked of the post, has a higher version than our fold."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """`problem` is None when the rows match the log now, else why they could not be written."""

    post_id: PostId
    problem: str | None


class Repair:
    def __init__(self, *, store: ProjectionStore, log: CommitLog, past_events: PastEvents, codec: EventCodec) -> None:
        self._store = store
        self._log = log
        self._past_events = past_events
        self._codec = codec

    async def repair(self, post_id: PostId) -> Repaired:
        """Raises `Unavailable`, and `CheckpointMoved` when the live generation is swapped meanwhile."""
        version = -1
        while True:
            try:
                folded = await self._fold(post_id)
                await self._write(folded, replace_newer=folded.version == version)
            except (EventNotReadable, EventNotApplicable, StreamDamaged) as error:
                return Repaired(post_id, error.message)
            except _RowIsAhead:
                version = folded.version
                await self._log.proven_tip()
                continue
            return Repaired(post_id, None)

    async def _fold(self, post_id: PostId) -> WholePost:
        folded = WholePost(post_id)
        while commits := await self._past_events.read_stream(post_id, folded.version, _COMMITS_A_READ):
            for commit in commits:
                require_next(commit, folded.version)
                folded.apply(self._codec.decode(commit), commit.last_version)
        return folded

    async def _write(self, folded: WholePost, *, replace_newer: bool) -> None:
        """`replace_newer`: the log was proven and read again, and has nothing newer, so a newer row is wrong."""

        def fold(rows: Rows) -> RowChanges:
            found = rows.posts.get(folded.post_id)
            newest = max([found.version if found else 0, *(each.waiting_version for each in rows.parked.values())])
            if newest > folded.version and not replace_newer:
                raise _RowIsAhead
            if folded.post is None:
                return RowChanges(deleted=[folded.post_id], cleared=[folded.post_id])
            comments = list(folded.comments.values())
            freed = list(rows.parked)
            return RowChanges(posts=[folded.post], cleared=[folded.post_id], comments=comments, unparked=freed)

        generation = (await self._store.live()).generation
        await self._store.project(ProjectionBatch(generation, (), RowKeys([folded.post_id], [])), fold)
