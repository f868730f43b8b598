"""States of a post as it was, from which a fold starts near any version; those of long posts are stored as snapshots.

A stream is divided into segments: a segment ends with the first commit that reaches the next multiple of
`segment_events`, which is at least what a commit may hold, so that each segment has a start and an end of its own. The
state at the start of a segment has only the comments that its answers need: those that events of the segment name, and
the newest. So it stays small on a post with a million comments, and the events of its segment are folded on it as on a
complete state, errors included.
"""

import asyncio
import logging
import sys
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple, Protocol, Self

from application.envelopes import MAX_EVENTS_PER_COMMIT, AnyCommit, Commit
from application.errors import Unavailable
from application.ports.event_store import Snapshot, Snapshots
from application.projections.post import COMMENT_EVENTS, WholePost
from application.rows import CommentRow, PostRow, PostStatus
from application.snapshot_format import ENTRIES_PER_LINE, UNREADABLE, compressed, current_format, lines_of
from domain.events import PostEvent
from domain.ids import CommentId, PostId

logger = logging.getLogger(__name__)

COMMENTS_SHOWN = 100
SEGMENT_EVENTS = MAX_EVENTS_PER_COMMIT

_SHAPE = 1
"""Increase it when the meaning of a stored field, the projection, or what an upcaster does changes."""

_COMPLETE = "complete"
_POST_BYTES, _ENTRY_BYTES = 2_000, 250
_SAMPLE = 16
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class AsOf(Protocol):
    """What is asked for: the post after `version`, or at a time."""

    @property
    def version(self) -> int | None: ...

    def includes(self, version: int, recorded_at: datetime) -> bool: ...


class CommitEnd(NamedTuple):
    """A commit of a stream, by the version that it ends with."""

    version: int
    position: int
    commit_id: str

    @classmethod
    def of(cls, commit: AnyCommit) -> Self:
        return cls(commit.last_version, commit.position, commit.commit_id)


class Reach(NamedTuple):
    """How far a state can be folded: to `version`, whose prefix of the stream has `newest` as its latest time."""

    version: int
    newest: datetime


@dataclass(slots=True)
class FoldedPost:
    """`newest` is the latest time of its commits. `proof` is a commit that the log must still have: the state's last,
    or the last of its segment; None at version 0. `ends_commit`: it does not end inside one. Without a `reach` it is
    complete, and begins a segment. `order` has its comments by their dates, oldest first."""

    whole: WholePost
    newest: datetime = _BEGINNING
    proof: CommitEnd | None = None
    reach: Reach | None = None
    ends_commit: bool = True
    order: list[tuple[datetime, CommentId]] = field(default_factory=list)

    @classmethod
    def of(
        cls, row: PostRow, comments: Sequence[CommentRow], newest: datetime, proof: CommitEnd, reach: Reach | None
    ) -> Self:
        whole = WholePost.of(row, comments)
        order = sorted((each.comment_date, each.comment_id) for each in comments)
        return cls(whole, newest, proof, reach, order=order)

    @property
    def version(self) -> int:
        return self.whole.version

    def serves(self, query: AsOf) -> bool:
        """Whether the answer follows from this state and events after it."""
        reach = self.reach
        return query.includes(self.version, self.newest) and (
            reach is None or not query.includes(reach.version + 1, reach.newest)
        )

    def newest_comments(self, count: int) -> list[CommentRow]:
        found = [self.whole.comment(comment_id) for _, comment_id in reversed(self.order[-count:])]
        return [comment for comment in found if comment is not None]

    def copy(self) -> "FoldedPost":
        return FoldedPost(self.whole.copy(), self.newest, self.proof, self.reach, self.ends_commit, self.order.copy())

    def apply(self, commit: Commit, events: Sequence[PostEvent], last: int) -> Mapping[CommentId, CommentRow | None]:
        """Apply the events of the commit up to the version `last`. Returns the comments that they name, as they were
        before. Raises `EventNotApplicable`."""
        whole = self.whole
        named = {event.comment_id for event in events if isinstance(event, COMMENT_EVENTS)}
        before = {comment_id: whole.comment(comment_id) for comment_id in named}
        whole.apply(events, last)
        for comment_id, comment in before.items():
            self._reorder(comment, whole.comment(comment_id))
        if whole.status is PostStatus.REMOVED:
            self.order.clear()
        self.newest = max(self.newest, commit.recorded_at)
        self.ends_commit = last == commit.last_version
        if self.reach is None:
            self.proof = CommitEnd.of(commit)
        return before

    def _reorder(self, before: CommentRow | None, now: CommentRow | None) -> None:
        old = before and (before.comment_date, before.comment_id)
        new = now and (now.comment_date, now.comment_id)
        if old == new:
            return
        if old:
            del self.order[bisect_left(self.order, old)]
        if new:
            insort(self.order, new)

    @property
    def bytes(self) -> int:
        """About how much memory it takes. Copies share their texts, which are counted for each."""
        rows = (self.whole.comment(comment_id) for _, comment_id in islice(self.order, _SAMPLE))
        sample = [sys.getsizeof(row.comment) + _ENTRY_BYTES for row in rows if row is not None]
        return _POST_BYTES + (sum(sample) * len(self.order) // len(sample) if sample else 0)


class Segment:
    """A segment while it is folded. `start` is complete, and at its beginning. `end` is the first version that may end
    it."""

    def __init__(self, start: FoldedPost, events: int) -> None:
        self.begin = start.version
        self.end = (start.version // events + 1) * events
        self._row, self._newest = start.whole.post, start.newest
        self._shown = start.newest_comments(COMMENTS_SHOWN + events + MAX_EVENTS_PER_COMMIT)
        self._named: dict[CommentId, CommentRow | None] = {}
        self._removed = 0

    def record(self, before: Mapping[CommentId, CommentRow | None], folded: FoldedPost) -> None:
        """After each commit, with what `FoldedPost.apply` returned."""
        for comment_id, comment in before.items():
            self._named.setdefault(comment_id, comment)
            self._removed += comment is not None and folded.whole.comment(comment_id) is None

    def is_ended_by(self, folded: FoldedPost) -> bool:
        return folded.ends_commit and folded.version >= self.end

    def start_for(self, end: FoldedPost) -> FoldedPost | None:
        """The start with what its events need, up to `end`. None at version 0, which needs nothing."""
        if self._row is None or end.proof is None:
            return None
        comments = {each.comment_id: each for each in self._shown[: COMMENTS_SHOWN + self._removed]}
        comments |= {each.comment_id: each for each in self._named.values() if each is not None}
        return FoldedPost.of(
            self._row, list(comments.values()), self._newest, end.proof, Reach(end.version, end.newest)
        )


class PastStates:
    """The stored ones: a cache that can be dropped at any time. They are not read and not written if `is_on` is
    False. One that can't be read or stored costs time and nothing else."""

    def __init__(self, snapshots: Snapshots, *, is_on: bool, segment_events: int = SEGMENT_EVENTS) -> None:
        self._snapshots = snapshots
        self._is_on = is_on
        self.segment_events = segment_events

    async def find(self, post_id: PostId, query: AsOf) -> FoldedPost | None:
        """The nearest one that serves the query."""
        if not self._is_on or (query.version is not None and query.version < self.segment_events):
            return None
        try:
            if query.version is None:
                return await self._at_time(post_id, query)
            return await self._at_version(post_id, query, query.version // self.segment_events)
        except Unavailable as error:
            logger.warning("could not read the past states of post %s: %s", post_id, error.message)
            return None

    async def store(self, folded: FoldedPost) -> None:
        if not self._is_on or folded.proof is None or folded.version < self.segment_events:
            return
        post_id = folded.whole.post_id
        snapshot = Snapshot(
            stream_id=post_id,
            name=_COMPLETE if folded.reach is None else str(folded.version // self.segment_events),
            version=folded.version,
            position=folded.proof.position,
            format=FORMAT,
            state=await asyncio.to_thread(encode, folded),
        )
        try:
            await self._snapshots.store(snapshot)
        except Unavailable as error:
            logger.warning("could not store a past state of post %s: %s", post_id, error.message)

    async def _at_version(self, post_id: PostId, query: AsOf, segment: int) -> FoldedPost | None:
        """A commit may reach into a segment's numbers, so the one before is possible, too."""
        for name in (str(segment), str(segment - 1), _COMPLETE):
            found = await self._load(post_id, name)
            if found is not None and found.serves(query):
                return found
        return None

    async def _at_time(self, post_id: PostId, query: AsOf) -> FoldedPost | None:
        """By bisection: the later a segment, the later its newest time."""
        complete = await self._load(post_id, _COMPLETE)
        if complete is None or complete.serves(query):
            return complete
        nearest: FoldedPost | None = None
        low, high = 0, complete.version // self.segment_events
        while low < high:
            middle = (low + high + 1) // 2
            found = await self._load(post_id, str(middle))
            if found is not None and query.includes(found.version, found.newest):
                low, nearest = middle, found
            else:
                high = middle - 1
        return nearest if nearest is not None and nearest.serves(query) else None

    async def _load(self, post_id: PostId, name: str) -> FoldedPost | None:
        snapshot = await self._snapshots.load(post_id, name)
        if snapshot is None or snapshot.format != FORMAT:
            return None
        try:
            return await asyncio.to_thread(decode, post_id, snapshot)
        except UNREADABLE as error:
            logger.warning("ignored an unreadable past state of post %s: %s", post_id, error)
            return None


FORMAT = current_format(_SHAPE)


def encode(folded: FoldedPost) -> bytes:
    """Compressed lines of JSON: the post, then its comments in parts."""
    return compressed(_lines(folded))


def _lines(folded: FoldedPost) -> Iterator[Any]:
    row, reach = folded.whole.post, folded.reach
    if row is None:
        raise ValueError("there is no post at version 0")
    yield {
        "proof": folded.proof,
        "newest": folded.newest.isoformat(),
        "reach": reach and [reach.version, reach.newest.isoformat()],
        "post": [row.status, row.author, row.date_posted.isoformat(), row.message, row.likes, row.comments_count],
    }
    comments = iter(folded.newest_comments(len(folded.order)))
    while some := list(islice(comments, ENTRIES_PER_LINE)):
        yield [[c.comment_id, c.username, c.comment, c.comment_date.isoformat(), c.edited] for c in some]


def decode(post_id: PostId, snapshot: Snapshot) -> FoldedPost:
    """Raises one of `UNREADABLE` for what `encode` did not write."""
    first, *more = lines_of(snapshot.state)
    status, author, date_posted, message, likes, count = first["post"]
    row = PostRow(post_id, PostStatus(status), author, _time(date_posted), message, likes, count, snapshot.version)
    comments = [
        CommentRow(post_id, CommentId(comment_id), username, comment, _time(date), edited)
        for line in more
        for comment_id, username, comment, date, edited in line
    ]
    reach = first["reach"]
    return FoldedPost.of(
        row,
        comments,
        _time(first["newest"]),
        CommitEnd(*first["proof"]),
        Reach(reach[0], _time(reach[1])) if reach else None,
    )


_time = datetime.fromisoformat
