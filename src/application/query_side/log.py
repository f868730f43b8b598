"""Handlers of the queries that are answered from the log as one sequence: its newest commits, and those that come.

A filter that fits few commits of a long log must not read all of it for one answer: each looks through a bounded number
of commits for a bounded time, and says how far it came.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from application.envelopes import Commit
from application.mediator import QueryDispatcher
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.system import Clock
from application.query_side.log_queries import (
    ChangedPosts,
    CommitFilter,
    CommitsPage,
    ListChangedPosts,
    ListCommits,
    ListNewCommits,
    NewCommits,
    actor_of,
)
from application.query_side.logged_commit import logged_commit
from application.query_side.looking_back import log_backwards, stream_backwards
from domain.names import name_key

_COMMITS_A_READ = 1_000
_MOST_LOOKED_THROUGH = 50_000
_MOST_SECONDS = 0.5
_TIP_SECONDS = 0.1
_MOST_BEHIND = 2_000
"""Whoever follows the log and falls back further goes on near its end."""


class LogQueries:
    def __init__(self, log: CommitLog, past_events: PastEvents, codec: EventCodec, clock: Clock) -> None:
        self._log = log
        self._past_events = past_events
        self._codec = codec
        self._clock = clock
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
        looked_to, looked_through = begin, 0
        until = self._clock.monotonic() + _MOST_SECONDS
        async with aclosing(self._backwards(query, begin)) as pages:
            async for page in pages:
                found += (await self._fitting(page, query.wanted))[::-1][: query.limit - len(found)]
                is_full = len(found) == query.limit
                looked_to = found[-1].position if is_full else page[0].position
                looked_through += len(page)
                if is_full or looked_through >= _MOST_LOOKED_THROUGH or self._clock.monotonic() >= until:
                    break
            else:
                looked_to = 1
        return CommitsPage(
            commits=[logged_commit(commit, self._codec) for commit in found],
            looked_from=begin,
            looked_to=looked_to,
            older=looked_to if looked_to > 1 else None,
        )

    async def list_new_commits(self, query: ListNewCommits) -> NewCommits:
        tip = await self._shared_tip()
        after = query.after if tip - query.after <= _MOST_BEHIND else tip - query.limit
        page = await self._log.read(after, _COMMITS_A_READ) if tip > after else []
        found = await self._fitting(page, query.wanted)
        shown = found[-query.limit :]
        first_looked_at = shown[0].position if len(shown) < len(found) else after + 1
        return NewCommits(
            commits=[logged_commit(commit, self._codec) for commit in shown],
            position=page[-1].position if page else after,
            passed_over=(query.after + 1, first_looked_at - 1) if first_looked_at > query.after + 1 else None,
        )

    async def list_changed_posts(self, query: ListChangedPosts) -> ChangedPosts:
        tip = await self._log.tip()
        if query.after is None:
            return ChangedPosts(posts=None, position=tip)
        if tip <= query.after:
            return ChangedPosts(posts=frozenset(), position=query.after)
        commits = await self._log.read(query.after, _COMMITS_A_READ)
        if not commits or commits[-1].position < tip:
            return ChangedPosts(posts=None, position=tip)
        return ChangedPosts(posts=frozenset(commit.stream_id for commit in commits), position=commits[-1].position)

    async def _shared_tip(self) -> int:
        """One look for all who follow the log, at most so many seconds old."""
        now = self._clock.monotonic()
        if self._tip is None or (self._tip.done() and now - self._tip_at >= _TIP_SECONDS):
            self._tip, self._tip_at = asyncio.ensure_future(self._log.tip()), now
        return await asyncio.shield(self._tip)

    def _backwards(self, query: ListCommits, below: int) -> AsyncGenerator[Sequence[Commit]]:
        wanted = query.wanted
        if wanted.post_id is not None:
            return stream_backwards(self._past_events, wanted.post_id, below, _COMMITS_A_READ)
        return log_backwards(self._log, below, query.limit if wanted == CommitFilter() else _COMMITS_A_READ)

    async def _fitting(self, commits: Sequence[Commit], wanted: CommitFilter) -> list[Commit]:
        """Looked at in a thread where there are many, so that requests in this process are answered meanwhile."""
        if wanted == CommitFilter():
            return list(commits)
        return await asyncio.to_thread(lambda: [commit for commit in commits if self._fits(commit, wanted)])

    def _fits(self, commit: Commit, wanted: CommitFilter) -> bool:
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
