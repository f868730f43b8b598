"""Queries answered from the log as one sequence of commits: its newest commits, those that follow a position, and the
posts that changed.

A filter that matches few commits of a long log must not read all of it for one page: a query searches a bounded number
of commits for a bounded time, and its result says how far it came.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from application.envelopes import Commit, DescribedEvent
from application.mediator import Query, QueryDispatcher
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.system import Clock
from domain.errors import EventNotReadable
from domain.ids import PostId
from domain.names import name_key

_TIP_SECONDS = 0.1
_MOST_BEHIND = 2_000
"""A follower of the log that falls further behind skips to near its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitFilter:
    """None: any. `event_type` is a current name or a stored one; `actor` did any of a commit's events;
    names are compared by `name_key`."""

    event_type: str | None = None
    actor: str | None = None
    post_id: PostId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCommit:
    """A commit for people: `events` in their current shape. When they can't be decoded, `unreadable` says why, and
    they are as they were stored."""

    commit: Commit
    events: Sequence[DescribedEvent]
    unreadable: str | None

    @property
    def actors(self) -> Sequence[str | None]:
        """Each once, in the order of their events; None for an anonymous user."""
        return list(dict.fromkeys(actor_of(self.commit, event) for event in self.events))


def actor_of(commit: Commit, event: DescribedEvent) -> str | None:
    """The user who did it. An import writes events of several users as one commit, whose metadata names only the first
    of them: there the event itself names its actor, or none."""
    if len(commit.events) > 1:
        for field in ("author", "username"):
            if field in event.data:
                return event.data[field] or None
    return commit.metadata.get("actor")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitsPage:
    """Newest first. The log was searched from below `searched_from` down to `searched_to`, both positions; `older` is
    the `before` of the next page, None at the log's beginning."""

    commits: Sequence[LoggedCommit]
    searched_from: int
    searched_to: int
    older: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommits:
    """Oldest first. The log was searched up to `position`; `skipped` are the first and the last position of the
    commits that were too many to be shown."""

    commits: Sequence[LoggedCommit]
    position: int
    skipped: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPosts:
    """`posts` is None when it is not known which posts changed: any may have."""

    posts: frozenset[PostId] | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChangedPosts(Query[ChangedPosts]):
    """The posts that have commits beyond the position `after` (None: only the log's end is asked for), and the log's
    end. Raises `StoreUnavailable`."""

    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCommits(Query[CommitsPage]):
    """The newest below the position `before`, at most `limit`. Searches a bounded part of the log, however few it
    finds there. Raises `StoreUnavailable`."""

    wanted: CommitFilter
    limit: int
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNewCommits(Query[NewCommits]):
    """The commits beyond the position `after`, at most `limit`. Raises `StoreUnavailable`."""

    wanted: CommitFilter
    limit: int
    after: int


def describe_commit(commit: Commit, codec: EventCodec) -> LoggedCommit:
    try:
        codec.decode(commit)
    except EventNotReadable as error:
        return LoggedCommit(commit=commit, events=codec.describe(commit), unreadable=error.message)
    return LoggedCommit(commit=commit, events=codec.describe(commit), unreadable=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """How much of the log one query searches."""

    commits_per_read: int = 1_000
    commits: int = 50_000
    seconds: float = 0.5


class LogQueries:
    def __init__(
        self,
        log: CommitLog,
        past_events: PastEvents,
        codec: EventCodec,
        clock: Clock,
        limits: SearchLimits | None = None,
    ) -> None:
        self._log = log
        self._past_events = past_events
        self._codec = codec
        self._clock = clock
        self._limits = limits or SearchLimits()
        self._tip: asyncio.Future[int] | None = None
        self._tip_at = 0.0

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(ListCommits, self.list_commits)
        dispatcher.register(ListNewCommits, self.list_new_commits)
        dispatcher.register(ListChangedPosts, self.list_changed_posts)

    async def list_commits(self, query: ListCommits) -> CommitsPage:
        tip = await self._log.tip()
        begin = tip + 1 if query.before is None else min(query.before, tip + 1)
        found: list[Commit] = []
        searched_to, searched = begin, 0
        until = self._clock.monotonic() + self._limits.seconds
        async with aclosing(self._backwards(query, begin)) as pages:
            async for page in pages:
                found += (await self._matching(page, query.wanted))[::-1][: query.limit - len(found)]
                is_full = len(found) == query.limit
                searched_to = found[-1].position if is_full else page[0].position
                searched += len(page)
                if is_full or searched >= self._limits.commits or self._clock.monotonic() >= until:
                    break
            else:
                searched_to = 1
        return CommitsPage(
            commits=[describe_commit(commit, self._codec) for commit in found],
            searched_from=begin,
            searched_to=searched_to,
            older=searched_to if searched_to > 1 else None,
        )

    async def list_new_commits(self, query: ListNewCommits) -> NewCommits:
        tip = await self._shared_tip()
        after = query.after if tip - query.after <= _MOST_BEHIND else tip - query.limit
        page = await self._log.read(after, self._limits.commits_per_read) if tip > after else []
        found = await self._matching(page, query.wanted)
        shown = found[-query.limit :]
        first_searched = shown[0].position if len(shown) < len(found) else after + 1
        return NewCommits(
            commits=[describe_commit(commit, self._codec) for commit in shown],
            position=page[-1].position if page else after,
            skipped=(query.after + 1, first_searched - 1) if first_searched > query.after + 1 else None,
        )

    async def list_changed_posts(self, query: ListChangedPosts) -> ChangedPosts:
        tip = await self._log.tip()
        if query.after is None:
            return ChangedPosts(posts=None, position=tip)
        if tip <= query.after:
            return ChangedPosts(posts=frozenset(), position=query.after)
        commits = await self._log.read(query.after, self._limits.commits_per_read)
        if not commits or commits[-1].position < tip:
            return ChangedPosts(posts=None, position=tip)
        return ChangedPosts(posts=frozenset(commit.stream_id for commit in commits), position=commits[-1].position)

    async def _shared_tip(self) -> int:
        """One read for all followers of the log, at most `_TIP_SECONDS` old."""
        now = self._clock.monotonic()
        if self._tip is None or (self._tip.done() and now - self._tip_at >= _TIP_SECONDS):
            self._tip, self._tip_at = asyncio.ensure_future(self._log.tip()), now
        return await asyncio.shield(self._tip)

    def _backwards(self, query: ListCommits, below: int) -> AsyncGenerator[Sequence[Commit]]:
        wanted = query.wanted
        if wanted.post_id is not None:
            return stream_backwards(self._past_events, wanted.post_id, below, self._limits.commits_per_read)
        return log_backwards(
            self._log, below, query.limit if wanted == CommitFilter() else self._limits.commits_per_read
        )

    async def _matching(self, commits: Sequence[Commit], wanted: CommitFilter) -> list[Commit]:
        """In a thread, so that the event loop serves other requests meanwhile."""
        if wanted == CommitFilter():
            return list(commits)
        return await asyncio.to_thread(lambda: [commit for commit in commits if self._matches(commit, wanted)])

    def _matches(self, commit: Commit, wanted: CommitFilter) -> bool:
        if wanted.post_id not in (None, commit.stream_id):
            return False
        if wanted.actor is not None and not self._is_by(commit, name_key(wanted.actor)):
            return False
        return wanted.event_type is None or self._has(commit, wanted.event_type)

    def _is_by(self, commit: Commit, key: str) -> bool:
        if name_key(commit.metadata.get("actor", "")) == key:
            return True
        events = self._codec.describe(commit) if len(commit.events) > 1 else ()
        return any(name_key(actor_of(commit, event) or "") == key for event in events)

    def _has(self, commit: Commit, event_type: str) -> bool:
        return any(event.type == event_type for event in commit.events) or any(
            event.type == event_type for event in self._codec.describe(commit)
        )


async def log_backwards(log: CommitLog, below: int, size: int) -> AsyncGenerator[Sequence[Commit]]:
    """Pages of about `size` commits from the position `below` to the log's beginning, each page oldest first. No page
    takes more memory than one read of the log. Raises `StoreUnavailable`."""
    while below > 1:
        after = max(0, below - 1 - size)
        page = await log.read(after, below - 1 - after)
        while page and page[-1].position < below - 1:  # large commits: the read ended before the newest
            page = await log.read(page[-1].position, below - 1 - page[-1].position)
        if not page:
            return
        yield page
        below = page[0].position


async def stream_backwards(
    past_events: PastEvents, stream_id: PostId, below: int, size: int
) -> AsyncGenerator[Sequence[Commit]]:
    """The same for the commits of one stream, at most `size` a page. Raises `StoreUnavailable`."""
    version = await _last_version_below(past_events, stream_id, below)
    while version > 0:
        after = max(0, version - size)
        page = await past_events.read_stream(stream_id, after, size)
        while page and page[-1].last_version < version:  # large commits, as above
            page = await past_events.read_stream(stream_id, page[-1].last_version, size)
        page = [commit for commit in page if commit.last_version <= version]
        if not page:
            return
        yield page
        version = page[0].version - 1


async def _last_version_below(past_events: PastEvents, stream_id: PostId, below: int) -> int:
    """The last version of the stream's last commit below a position; 0: there is none. Found by doubling, then by
    halving: a handful of short reads, however long the stream is."""
    found, step = 0, 1
    while (commit := await _commit_after(past_events, stream_id, found + step - 1, below)) is not None:
        found = commit.last_version
        step *= 2
    high = found + step - 1
    while found < high:
        middle = (found + high) // 2
        commit = await _commit_after(past_events, stream_id, middle, below)
        if commit is None:
            high = middle
        else:
            found = commit.last_version
    return found


async def _commit_after(past_events: PastEvents, stream_id: PostId, version: int, below: int) -> Commit | None:
    """The commit that holds the version after this one, if it is below the position."""
    commits = await past_events.read_stream(stream_id, version, 1)
    return commits[0] if commits and commits[0].position < below else None
