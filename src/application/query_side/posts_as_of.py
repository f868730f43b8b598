"""The query for a post as it was, answered by folding its events from the log.

Folded posts are cached: a reader who steps through a post's versions asks for the next one a moment later, and a
million events must not be read again for it. The time of one query is bounded: a fold that takes longer stops and is
cached; the next query resumes it.
"""

import asyncio
import sys
from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest
from itertools import islice

from application.envelopes import Commit
from application.errors import HistoryNotRead, VersionNotFound
from application.log_order import require_next
from application.mediator import Query, QueryDispatcher
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.system import Clock
from application.projections.post import WholePost
from application.query_side.posts import PostDetail, no_such_post
from application.rows import PostStatus
from domain.ids import PostId

_COMMENTS_SHOWN = 100
_POST_BYTES, _ENTRY_BYTES = 2_000, 150
_SAMPLE = 16
_BEGINNING = datetime.min.replace(tzinfo=UTC)


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
    After `events_per_slice` events a fold lets go of its thread and checks whether it was cancelled. A state is cached
    every `cached_every` events, and `cached_before` events before the version asked for."""

    seconds: float = 10.0
    concurrent_folds: int = 2
    commits_per_read: int = 1_000
    events_per_slice: int = 2_000
    cached_every: int = 10_000
    cached_before: int = 200
    cache_bytes: int = 64_000_000


class PostsAsOf:
    def __init__(
        self, past_events: PastEvents, codec: EventCodec, clock: Clock, limits: FoldLimits | None = None
    ) -> None:
        self._past_events = past_events
        self._codec = codec
        self._clock = clock
        self._limits = limits or FoldLimits()
        self._cache = _FoldCache(self._limits.cache_bytes)
        self._folding = asyncio.Semaphore(self._limits.concurrent_folds)

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(GetPostAsOf, self.get)

    async def get(self, query: GetPostAsOf) -> PostDetail:
        whole = await self.fold(query)
        if whole.post is None or whole.post.status is not PostStatus.LIVE:
            raise no_such_post(query.post_id)
        if query.version is not None and whole.version < query.version:
            raise VersionNotFound(
                f"Post {query.post_id} is at version {whole.version:,}; it has no version {query.version:,} yet.",
                path="version",
            )
        newest = nlargest(_COMMENTS_SHOWN, whole.comments.values(), key=lambda c: (c.comment_date, c.comment_id))
        return PostDetail(post=whole.post, comments=newest)

    async def fold(self, query: GetPostAsOf) -> WholePost:
        """The caller must not change it. Raises `HistoryNotRead` when it takes longer than one query may,
        `StreamDamaged`, `EventNotReadable`, `EventNotApplicable`. Stops soon after it is cancelled."""
        until = self._clock.monotonic() + self._limits.seconds
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._folding.acquire()
        except TimeoutError:
            raise HistoryNotRead("Other requests are reading histories. Send the request again.") from None
        try:
            return (await self._fold(query, until)).whole
        finally:
            self._folding.release()

    async def _fold(self, query: GetPostAsOf, until: float) -> "_FoldedPost":
        folded = await self._start(query)
        cached_at, near = folded.version, None if query.version is None else query.version - self._limits.cached_before
        while commits := await self._next_commits(query, folded.version):
            wanted = list(_included(commits, folded.version, query))
            for part in self._slices(wanted, near):
                await asyncio.to_thread(self._apply, folded, part, query.version)
                is_near = near is not None and cached_at < near <= folded.version
                if folded.version - cached_at >= self._limits.cached_every or is_near:
                    self._cache.add(folded.copy())
                    cached_at = folded.version
            if len(wanted) < len(commits) or folded.version == query.version:
                break
            if self._clock.monotonic() >= until:
                self._cache.add(folded)
                raise HistoryNotRead(
                    f"The history of post {query.post_id} is long: {folded.version:,} of its events were read so far. "
                    "Send the request again; reading resumes from there."
                )
        self._cache.add(folded)
        return folded

    async def _start(self, query: GetPostAsOf) -> "_FoldedPost":
        """A copy of a cached state, if the log still has the commit that ends it."""
        cached = self._cache.nearest(query)
        if cached is None:
            return _FoldedPost(WholePost(query.post_id))
        last = await self._read(query.post_id, cached.version - 1, 1)
        if not last or last[0].commit_id != cached.last_commit:
            self._cache.forget_post(query.post_id)
            return _FoldedPost(WholePost(query.post_id))
        return cached.copy()

    async def _next_commits(self, query: GetPostAsOf, after: int) -> Sequence[Commit]:
        most = self._limits.commits_per_read
        limit = most if query.version is None else min(most, query.version - after)
        return await self._read(query.post_id, after, limit) if limit else ()

    async def _read(self, post_id: PostId, after: int, limit: int) -> Sequence[Commit]:
        """A read in flight is never cancelled: its result is dropped instead."""
        return await asyncio.shield(
            asyncio.ensure_future(self._past_events.read_stream(post_id, after, limit)),
        )

    def _apply(self, folded: "_FoldedPost", commits: Sequence[Commit], version: int | None) -> None:
        for commit in commits:
            require_next(commit, folded.version)
            last = commit.last_version if version is None else min(commit.last_version, version)
            folded.whole.apply([each for each in self._codec.decode(commit) if each.version <= last], last)
            folded.newest = max(folded.newest, commit.recorded_at)
            folded.last_commit = commit.commit_id if last == commit.last_version else None

    def _slices(self, commits: Sequence[Commit], near: int | None) -> Iterator[Sequence[Commit]]:
        """In their order; one ends with the commit that holds the version `near`."""
        part: list[Commit] = []
        events = 0
        for commit in commits:
            is_border = near is not None and part and part[0].version < near <= part[-1].last_version
            if part and (events + len(commit.events) > self._limits.events_per_slice or is_border):
                yield part
                part, events = [], 0
            part.append(commit)
            events += len(commit.events)
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


@dataclass(slots=True)
class _FoldedPost:
    """`last_commit` is the id of the commit that ends it, None when it ends inside one; `newest` is the latest time of
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
    """The most recently used states, bounded by their memory. They are never changed."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._cached: OrderedDict[tuple[PostId, int], tuple[_FoldedPost, int]] = OrderedDict()
        self._versions: dict[PostId, list[int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._cached)

    def add(self, folded: _FoldedPost) -> None:
        """A state that ends inside a commit is not cached: no read of the log can resume from there."""
        key = (folded.whole.post_id, folded.version)
        if folded.last_commit is None or key in self._cached:
            return
        size = folded.bytes
        self._cached[key] = (folded, size)
        self._bytes += size
        insort(self._versions.setdefault(key[0], []), key[1])
        while self._bytes > self._max_bytes and len(self._cached) > 1:
            self._forget(*next(iter(self._cached)))

    def nearest(self, query: GetPostAsOf) -> _FoldedPost | None:
        """The newest state that holds nothing but what the query includes."""
        for version in reversed(self._versions.get(query.post_id, ())):
            folded, _ = self._cached[query.post_id, version]
            if query.includes(version, folded.newest):
                self._cached.move_to_end((query.post_id, version))
                return folded
        return None

    def forget_post(self, post_id: PostId) -> None:
        for version in list(self._versions.get(post_id, ())):
            self._forget(post_id, version)

    def _forget(self, post_id: PostId, version: int) -> None:
        self._bytes -= self._cached.pop((post_id, version))[1]
        self._versions[post_id].remove(version)
        if not self._versions[post_id]:
            del self._versions[post_id]
