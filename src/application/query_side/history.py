"""Posts as they were, folded from the log, and kept for a while: who steps through a post's versions asks for the next
one a moment later, and must not have a million events read again for it.

What one query may take is bounded. A fold that takes longer stops, and is kept; the next query goes on from there.

Handlers of the queries that are answered from the log: a post's events, and the post as it was.
"""

import asyncio
import sys
from bisect import insort
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest
from itertools import islice

from application.envelopes import Commit
from application.errors import HistoryNotRead, StreamDamaged, VersionNotFound
from application.log_order import require_next
from application.mediator import QueryDispatcher
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.system import Clock
from application.projections.post import WholePost
from application.query_side.log import actor_of
from application.query_side.posts import no_such_post
from application.query_side.queries import CountEvents, GetPostAsOf, HistoryPage, ListEvents, PastEvent, PostAnswer
from application.rows import PostStatus
from domain.ids import PostId

_SECONDS = 10.0
"""How long one query may wait, and may fold."""

_FOLDS = 2
"""Long folds at the same time: more would only take longer."""

_COMMITS_A_FOLD_READ = 1_000
_EVENTS_AT_ONCE = 2_000
"""Folded between two looks at whether the answer is still wanted."""

_KEPT_EVERY = 10_000
_KEPT_BEFORE = 200
"""Events: between two states that are kept, and between the last of them and the version that was asked for."""

_KEPT_BYTES = 64_000_000
_POST_BYTES, _ENTRY_BYTES = 2_000, 150
_SAMPLE = 16

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AsOf:
    """What a query asks for: the state up to a version, or up to a time; exactly one is given."""

    version: int | None
    at: datetime | None

    def includes(self, version: int, recorded_at: datetime) -> bool:
        if self.version is not None:
            return version <= self.version
        return self.at is None or recorded_at <= self.at


@dataclass(slots=True)
class _FoldedPost:
    """`last_commit` is the id of the commit that ends it, None when it ends within one; `newest` is the latest time of
    its commits."""

    whole: WholePost
    last_commit: str | None = None
    newest: datetime = _BEGINNING

    @property
    def version(self) -> int:
        return self.whole.version

    def copy(self) -> "_FoldedPost":
        return _FoldedPost(self.whole.copy(), self.last_commit, self.newest)

    @property
    def bytes(self) -> int:
        """About how much memory it takes. Copies share their texts, which are counted for each."""
        comments = self.whole.comments
        sample = [sys.getsizeof(comment.comment) + _ENTRY_BYTES for comment in islice(comments.values(), _SAMPLE)]
        return _POST_BYTES + (sum(sample) * len(comments) // len(sample) if sample else 0)


class _FoldCache:
    """The most recently used ones, bounded by the memory that they take. They are never changed."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[PostId, int], tuple[_FoldedPost, int]] = OrderedDict()
        self._versions: dict[PostId, list[int]] = {}
        self._bytes = 0

    def keep(self, folded: _FoldedPost) -> None:
        """What ends within a commit is not kept: no read of the log goes on from there."""
        key = (folded.whole.post_id, folded.version)
        if folded.last_commit is None or key in self._kept:
            return
        size = folded.bytes
        self._kept[key] = (folded, size)
        self._bytes += size
        insort(self._versions.setdefault(key[0], []), key[1])
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            self._forget(*next(iter(self._kept)))

    def nearest(self, post_id: PostId, moment: AsOf) -> _FoldedPost | None:
        """The newest one that holds nothing but what the moment includes."""
        for version in reversed(self._versions.get(post_id, ())):
            folded, _ = self._kept[post_id, version]
            if moment.includes(version, folded.newest):
                self._kept.move_to_end((post_id, version))
                return folded
        return None

    def forget_post(self, post_id: PostId) -> None:
        for version in list(self._versions.get(post_id, ())):
            self._forget(post_id, version)

    def _forget(self, post_id: PostId, version: int) -> None:
        self._bytes -= self._kept.pop((post_id, version))[1]
        self._versions[post_id].remove(version)
        if not self._versions[post_id]:
            del self._versions[post_id]


class PostsAsOf:
    def __init__(self, past_events: PastEvents, codec: EventCodec, clock: Clock, seconds: float = _SECONDS) -> None:
        self._past_events = past_events
        self._codec = codec
        self._clock = clock
        self._seconds = seconds
        self._kept = _FoldCache(_KEPT_BYTES)
        self._folding = asyncio.Semaphore(_FOLDS)

    async def fold(self, post_id: PostId, moment: AsOf) -> WholePost:
        """Not to be changed. Raises `HistoryNotRead` when it takes longer than one query may, `StreamDamaged`,
        `EventNotReadable`, `EventNotApplicable`. Stops soon after it is cancelled."""
        until = self._clock.monotonic() + self._seconds
        try:
            async with asyncio.timeout(self._seconds):
                await self._folding.acquire()
        except TimeoutError:
            raise HistoryNotRead("Others are looking at posts as they were. Ask again.") from None
        try:
            return (await self._fold(post_id, moment, until)).whole
        finally:
            self._folding.release()

    async def _fold(self, post_id: PostId, moment: AsOf, until: float) -> _FoldedPost:
        folded = await self._start(post_id, moment)
        kept_at, near = folded.version, None if moment.version is None else moment.version - _KEPT_BEFORE
        while commits := await self._read_on(post_id, folded.version, moment):
            wanted = list(_included(commits, folded.version, moment))
            for part in _parts(wanted, near):
                await asyncio.to_thread(self._apply, folded, part, moment)
                is_near = near is not None and kept_at < near <= folded.version
                if folded.version - kept_at >= _KEPT_EVERY or is_near:
                    self._kept.keep(folded.copy())
                    kept_at = folded.version
            if len(wanted) < len(commits) or folded.version == moment.version:
                break
            if self._clock.monotonic() >= until:
                self._kept.keep(folded)
                raise HistoryNotRead(
                    f"The history of post {post_id} is long: {folded.version:,} events of it were read so far. "
                    "Ask again; reading goes on from there."
                )
        self._kept.keep(folded)
        return folded

    async def _start(self, post_id: PostId, moment: AsOf) -> _FoldedPost:
        """A copy of what is kept, if the log still has the commit that ends it."""
        kept = self._kept.nearest(post_id, moment)
        if kept is None:
            return _FoldedPost(WholePost(post_id))
        last = await self._read(post_id, kept.version - 1, 1)
        if not last or last[0].commit_id != kept.last_commit:
            self._kept.forget_post(post_id)
            return _FoldedPost(WholePost(post_id))
        return kept.copy()

    async def _read_on(self, post_id: PostId, after: int, moment: AsOf) -> Sequence[Commit]:
        limit = _COMMITS_A_FOLD_READ if moment.version is None else min(_COMMITS_A_FOLD_READ, moment.version - after)
        return await self._read(post_id, after, limit) if limit else ()

    async def _read(self, post_id: PostId, after: int, limit: int) -> Sequence[Commit]:
        """A read that is under way is never cancelled: nobody waits for its answer then."""
        return await asyncio.shield(
            asyncio.ensure_future(self._past_events.read_stream(post_id, after, limit)),
        )

    def _apply(self, folded: _FoldedPost, commits: Sequence[Commit], moment: AsOf) -> None:
        for commit in commits:
            require_next(commit, folded.version)
            last = commit.last_version if moment.version is None else min(commit.last_version, moment.version)
            folded.whole.apply([each for each in self._codec.decode(commit) if each.version <= last], last)
            folded.newest = max(folded.newest, commit.recorded_at)
            folded.last_commit = commit.commit_id if last == commit.last_version else None


def _included(commits: Sequence[Commit], after: int, moment: AsOf) -> Iterator[Commit]:
    """What stands behind the version that is asked for is not looked at: it may be damaged. Where commits are missing,
    the first one behind the gap is included, which raises `StreamDamaged`."""
    version = after
    for commit in commits:
        if not moment.includes(version + 1, commit.recorded_at):
            return
        version = commit.last_version
        yield commit
        if moment.version is not None and commit.last_version >= moment.version:
            return


def _parts(commits: Sequence[Commit], near: int | None) -> Iterator[Sequence[Commit]]:
    """In their order; one ends with the commit that holds the version `near`."""
    part: list[Commit] = []
    events = 0
    for commit in commits:
        is_border = near is not None and part and part[0].version < near <= part[-1].last_version
        if part and (events + len(commit.events) > _EVENTS_AT_ONCE or is_border):
            yield part
            part, events = [], 0
        part.append(commit)
        events += len(commit.events)
    if part:
        yield part


_COMMITS_A_READ = 100
_COMMENTS_SHOWN = 100
_CHARACTERS_A_PAGE = 1_000_000


class HistoryQueries:
    def __init__(self, past_events: PastEvents, codec: EventCodec, clock: Clock) -> None:
        self._past_events = past_events
        self._codec = codec
        self._posts_as_of = PostsAsOf(past_events, codec, clock)

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(ListEvents, self.list_events)
        dispatcher.register(GetPostAsOf, self.get_post_as_of)
        dispatcher.register(CountEvents, self.count_events)

    async def list_events(self, query: ListEvents) -> HistoryPage:
        """A page may hold more than `limit` events when several share the version that ends it (after a split), and
        less when their texts are long. Where the log is damaged a page ends; the one behind it raises `StreamDamaged`.
        """
        events: list[PastEvent] = []
        characters = 0
        try:
            async for commit in self._commits(query.post_id, query.after):
                for event in self._past_events_of(commit, query.after):
                    is_full = len(events) >= query.limit or characters >= _CHARACTERS_A_PAGE
                    if is_full and event.version != events[-1].version:
                        return HistoryPage(events=events, next_after=events[-1].version)
                    events.append(event)
                    characters += sum(len(value) for value in event.data.values() if isinstance(value, str))
        except StreamDamaged:
            if not events:
                raise
            return HistoryPage(events=events, next_after=events[-1].version)
        if not events and not query.after:
            raise no_such_post(query.post_id)
        return HistoryPage(events=events, next_after=None)

    async def count_events(self, query: CountEvents) -> int:
        count = await self._past_events.last_version(query.post_id)
        if not count:
            raise no_such_post(query.post_id)
        return count

    async def get_post_as_of(self, query: GetPostAsOf) -> PostAnswer:
        whole = await self._posts_as_of.fold(query.post_id, AsOf(query.version, query.at))
        if whole.post is None or whole.post.status is not PostStatus.LIVE:
            raise no_such_post(query.post_id)
        if query.version is not None and whole.version < query.version:
            raise VersionNotFound(
                f"Post {query.post_id} stands at version {whole.version:,}; it has no version {query.version:,} yet.",
                path="version",
            )
        newest = nlargest(_COMMENTS_SHOWN, whole.comments.values(), key=lambda c: (c.comment_date, c.comment_id))
        return PostAnswer(post=whole.post, comments=newest)

    async def _commits(self, post_id: PostId, after: int) -> AsyncIterator[Commit]:
        """Raises `StreamDamaged` in place of a commit that does not follow."""
        version = after
        while commits := await self._past_events.read_stream(post_id, version, _COMMITS_A_READ):
            if version == after:
                version = await self._begin_of(commits[0], after)
            for commit in commits:
                require_next(commit, version)
                yield commit
                await asyncio.sleep(0)
                version = commit.last_version

    async def _begin_of(self, first: Commit, after: int) -> int:
        """The version that the first commit must follow: `after`, or less where `after` is in the midst of it."""
        if first.version > after:
            return after
        if first.version == 1:
            return 0
        [before] = await self._past_events.read_stream(first.stream_id, first.version - 2, 1)
        return first.version - 1 if before.position == first.position else before.last_version

    def _past_events_of(self, commit: Commit, after: int) -> list[PastEvent]:
        return [
            PastEvent(
                type=event.type,
                schema_version=event.schema_version,
                stored_type=event.stored_type,
                stored_schema_version=event.stored_schema_version,
                version=event.version,
                position=commit.position,
                recorded_at=commit.recorded_at,
                actor=actor_of(commit, event),
                correlation_id=commit.metadata.get("correlationId"),
                data=event.data,
            )
            for event in self._codec.describe(commit)
            if event.version > after
        ]
