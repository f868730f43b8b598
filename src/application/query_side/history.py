"""Handlers of the queries that are answered from the log: a post's events, and the post as it was."""

import asyncio
from collections.abc import AsyncIterator
from heapq import nlargest

from application.envelopes import Commit
from application.errors import StreamDamaged, VersionNotFound
from application.log_order import require_next
from application.mediator import QueryDispatcher
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.ports.system import Clock
from application.query_side.log_queries import actor_of
from application.query_side.posts import no_such_post
from application.query_side.posts_as_of import Moment, PostsAsOf
from application.query_side.queries import CountEvents, GetPostAsOf, HistoryPage, ListEvents, PastEvent, PostAnswer
from application.rows import PostStatus
from domain.ids import PostId

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
        whole = await self._posts_as_of.fold(query.post_id, Moment(query.version, query.at))
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
