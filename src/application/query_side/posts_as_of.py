"""The query for a post as it was, answered by folding its events from the log.

A fold starts from the nearest past state, so it reads at most the events of one segment and the rest of a commit. The
first reader of a long post folds the segments that nobody has folded yet, and stores their starts. The time of one
query is bounded: a fold that takes longer stops at the end of a segment, and the next query resumes it there.
"""

import asyncio
from bisect import insort
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from application.envelopes import Commit
from application.errors import HistoryNotRead, VersionNotFound
from application.log_order import require_next
from application.mediator import Query, QueryDispatcher
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.system import Clock
from application.projections.post import WholePost
from application.query_side.past_states import COMMENTS_SHOWN, CommitEnd, FoldedPost, PastStates, Reach, Segment
from application.query_side.posts import PostDetail, no_such_post
from application.rows import PostStatus
from domain.ids import PostId

_COMMENTS_PER_EVENT = 8
"""A complete state is copied and stored only after an eighth as many events as it has comments, so that this costs
little beside folding them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetPostAsOf(Query[PostDetail]):
    """The post as it was after `version`, or at the time `at` (exactly one is given). A version inside a commit counts
    too. Raises `PostNotFound` when it did not exist then or was removed, `VersionNotFound`, `HistoryNotRead`,
    `StreamDamaged`, `EventNotReadable`."""

    post_id: PostId
    version: int | None = None
    at: datetime | None = None

    def includes(self, version: int, recorded_at: datetime) -> bool:
        if self.version is not None:
            return version <= self.version
        return self.at is None or recorded_at <= self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldLimits:
    """`seconds` is how long one query may wait, and may fold. More than `concurrent_folds` would only take longer.
    After `events_per_slice` events a fold lets go of its thread and checks whether it was cancelled."""

    seconds: float = 10.0
    concurrent_folds: int = 2
    commits_per_read: int = 1_000
    events_per_slice: int = 2_000
    cache_bytes: int = 64_000_000


class PostsAsOf:
    def __init__(
        self,
        past_events: PastEvents,
        past_states: PastStates,
        codec: EventCodec,
        clock: Clock,
        limits: FoldLimits | None = None,
    ) -> None:
        self._past_events = past_events
        self._past_states = past_states
        self._segment_events = past_states.segment_events
        self._codec = codec
        self._clock = clock
        self._limits = limits or FoldLimits()
        self._cache = _FoldCache(self._limits.cache_bytes)
        self._folding = asyncio.Semaphore(self._limits.concurrent_folds)

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(GetPostAsOf, self.get)

    async def get(self, query: GetPostAsOf) -> PostDetail:
        folded = await self.fold(query)
        post = folded.whole.post
        if post is None or post.status is not PostStatus.LIVE:
            raise no_such_post(query.post_id)
        if query.version is not None and folded.version < query.version:
            raise VersionNotFound(
                f"Post {query.post_id} is at version {folded.version:,}; it has no version {query.version:,} yet.",
                path="version",
            )
        return PostDetail(post=post, comments=folded.newest_comments(COMMENTS_SHOWN))

    async def fold(self, query: GetPostAsOf) -> FoldedPost:
        """With the newest comments at least. The caller must not change it. Raises `HistoryNotRead` when it takes
        longer than one query may, `StreamDamaged`, `EventNotReadable`, `EventNotApplicable`. Stops soon after it is
        cancelled."""
        until = self._clock.monotonic() + self._limits.seconds
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._folding.acquire()
        except TimeoutError:
            raise HistoryNotRead("Other requests are reading histories. Send the request again.") from None
        try:
            start = await self._start(query)
            if start.reach is not None:
                folded = await self._fold_within(query, start, start.reach)
                if folded is not None:
                    return folded
                start = self._forget(query.post_id)
            return await self._fold_on(query, start, until)
        finally:
            self._folding.release()

    async def _start(self, query: GetPostAsOf) -> FoldedPost:
        """The nearest past state, if the log still has the commit that proves it."""
        nearest = self._cache.nearest(query)
        if nearest is None or self._is_far(nearest, query):
            stored = await self._past_states.find(query.post_id, query)
            if stored is not None and (nearest is None or nearest.version < stored.version):
                nearest = stored
                self._cache.add(stored)
        if nearest is None:
            return FoldedPost(WholePost(query.post_id))
        return nearest if await self._is_proven(nearest) else self._forget(query.post_id)

    def _is_far(self, folded: FoldedPost, query: GetPostAsOf) -> bool:
        is_near = query.version is not None and query.version - folded.version < self._segment_events
        return folded.reach is None and not is_near

    async def _is_proven(self, folded: FoldedPost) -> bool:
        if folded.proof is None:
            return True
        last = await self._read(folded.whole.post_id, folded.proof.version - 1, 1)
        return bool(last) and CommitEnd.of(last[0]) == folded.proof

    def _forget(self, post_id: PostId) -> FoldedPost:
        """The log was changed underneath: the fold starts at its beginning."""
        self._cache.forget_post(post_id)
        return FoldedPost(WholePost(post_id))

    async def _fold_within(self, query: GetPostAsOf, start: FoldedPost, reach: Reach) -> FoldedPost | None:
        """None when the answer lies beyond the segment, because the log was changed underneath."""
        folded = start.copy()
        async for commits in self._commits(query, folded):
            if commits[-1].version > reach.version:
                return None
            for part in self._slices(commits):
                await asyncio.to_thread(self._apply, folded, part, query.version)
        self._cache.add(folded)
        return folded

    async def _fold_on(self, query: GetPostAsOf, start: FoldedPost, until: float) -> FoldedPost:
        """From a complete state, through any number of segments: the start of each is cached and stored, and the last
        complete state at the end of one."""
        folded, complete = start.copy(), start
        segment = Segment(folded, self._segment_events)
        async for commits in self._commits(query, folded):
            for part in self._slices(commits):
                await asyncio.to_thread(self._apply, folded, part, query.version, segment)
                if not segment.is_ended_by(folded):
                    continue
                await self._keep(segment.start_for(folded))
                segment = Segment(folded, self._segment_events)
                is_late = self._clock.monotonic() >= until and folded.version != query.version
                if is_late or folded.version - complete.version >= self._distance(folded):
                    complete = folded.copy()
                    self._cache.add(complete)
                if is_late:
                    await self._past_states.store(complete)
                    raise HistoryNotRead(
                        f"The history of post {query.post_id} is long: {folded.version:,} of its events were read so "
                        "far. Send the request again; reading resumes from there."
                    )
        if complete is not start:
            await self._past_states.store(complete)
        if folded.version != segment.begin:
            folded.reach = Reach(segment.end - 1, folded.newest)
        self._cache.add(folded)
        return folded

    def _distance(self, folded: FoldedPost) -> int:
        return max(self._segment_events, len(folded.order) // _COMMENTS_PER_EVENT)

    async def _keep(self, state: FoldedPost | None) -> None:
        if state is not None:
            self._cache.add(state)
            await self._past_states.store(state)

    async def _commits(self, query: GetPostAsOf, folded: FoldedPost) -> AsyncIterator[Sequence[Commit]]:
        """What the query includes after `folded`, which the caller moves on."""
        while commits := await self._next_commits(query, folded.version):
            included = list(_included(commits, folded.version, query))
            if included:
                yield included
            if len(included) < len(commits) or folded.version == query.version:
                return

    async def _next_commits(self, query: GetPostAsOf, after: int) -> Sequence[Commit]:
        most = self._limits.commits_per_read
        limit = most if query.version is None else min(most, query.version - after)
        return await self._read(query.post_id, after, limit) if limit else ()

    async def _read(self, post_id: PostId, after: int, limit: int) -> Sequence[Commit]:
        """A read in flight is never cancelled: its result is dropped instead."""
        return await asyncio.shield(
            asyncio.ensure_future(self._past_events.read_stream(post_id, after, limit)),
        )

    def _apply(
        self, folded: FoldedPost, commits: Sequence[Commit], version: int | None, segment: Segment | None = None
    ) -> None:
        for commit in commits:
            require_next(commit, folded.version)
            last = commit.last_version if version is None else min(commit.last_version, version)
            before = folded.apply(commit, self._codec.decode_until(commit, last), last)
            if segment is not None and before:
                segment.record(before, folded)

    def _slices(self, commits: Sequence[Commit]) -> Iterator[Sequence[Commit]]:
        """In their order; a commit that reaches the end of a segment ends one."""
        part: list[Commit] = []
        events = 0
        for commit in commits:
            if part and events + len(commit.events) > self._limits.events_per_slice:
                yield part
                part, events = [], 0
            part.append(commit)
            events += len(commit.events)
            if (commit.version - 1) // self._segment_events < commit.last_version // self._segment_events:
                yield part
                part, events = [], 0
        if part:
            yield part


def _included(commits: Sequence[Commit], after: int, query: GetPostAsOf) -> Iterator[Commit]:
    """Commits beyond the version asked for are not checked: they may be damaged. Where commits are missing, the first
    one after the gap is included, which raises `StreamDamaged`."""
    version = after
    for commit in commits:
        if not query.includes(version + 1, commit.recorded_at):
            return
        version = commit.last_version
        yield commit
        if query.version is not None and commit.last_version >= query.version:
            return


_Key = tuple[PostId, int, bool]
"""Post, version, and whether it is complete."""


class _FoldCache:
    """The most recently used states, bounded by their memory: any number for a post that are not complete, and one that
    is. They are never changed."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._cached: OrderedDict[_Key, tuple[FoldedPost, int]] = OrderedDict()
        self._keys: dict[PostId, list[_Key]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._cached)

    def add(self, folded: FoldedPost) -> None:
        """A state that ends inside a commit is not cached: no read of the log can resume from there."""
        key = (folded.whole.post_id, folded.version, folded.reach is None)
        if folded.proof is None or not folded.ends_commit or key in self._cached:
            return
        if folded.reach is None:
            for other in [each for each in self._keys.get(key[0], ()) if each[2]]:
                self._forget(other)
        size = folded.bytes
        self._cached[key] = (folded, size)
        self._bytes += size
        insort(self._keys.setdefault(key[0], []), key)
        while self._bytes > self._max_bytes and len(self._cached) > 1:
            self._forget(next(iter(self._cached)))

    def nearest(self, query: GetPostAsOf) -> FoldedPost | None:
        """The newest state that serves the query."""
        for key in reversed(self._keys.get(query.post_id, ())):
            folded, _ = self._cached[key]
            if folded.serves(query):
                self._cached.move_to_end(key)
                return folded
        return None

    def forget_post(self, post_id: PostId) -> None:
        for key in list(self._keys.get(post_id, ())):
            self._forget(key)

    def _forget(self, key: _Key) -> None:
        self._bytes -= self._cached.pop(key)[1]
        self._keys[key[0]].remove(key)
        if not self._keys[key[0]]:
            del self._keys[key[0]]
