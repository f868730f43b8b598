"""Queries answered from the log about one post: its events, page by page, and how many there are."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from application.envelopes import Commit
from application.errors import StreamDamaged
from application.log_order import require_next
from application.mediator import Query, QueryDispatcher
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from application.query_side.log import actor_of
from application.query_side.posts import no_such_post
from domain.ids import PostId

_COMMITS_PER_READ = 100
_CHARACTERS_PER_PAGE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """An event for people: `data` in the current shape, plain JSON data."""

    type: str
    schema_version: int
    stored_type: str
    stored_schema_version: int
    version: int
    position: int
    recorded_at: datetime
    actor: str | None
    correlation_id: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Oldest first. `next_after` is the `after` of the next page, None at the end."""

    events: Sequence[PastEvent]
    next_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEvents(Query[HistoryPage]):
    """A removed post's history stays readable. Raises `PostNotFound` when the stream has no event."""

    post_id: PostId
    limit: int
    after: int = 0


@dataclass(frozen=True, slots=True)
class CountEvents(Query[int]):
    """How many events the log has of a post, a removed one too: the version of its last. Raises `PostNotFound` when
    there is none."""

    post_id: PostId


class HistoryQueries:
    def __init__(self, past_events: PastEvents, codec: EventCodec) -> None:
        self._past_events = past_events
        self._codec = codec

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(ListEvents, self.list_events)
        dispatcher.register(CountEvents, self.count_events)

    async def list_events(self, query: ListEvents) -> HistoryPage:
        """A page may hold more than `limit` events when several share the version that ends it (after a split), and
        fewer when their texts are long. A page ends where the log is damaged; the next one raises `StreamDamaged`.
        """
        events: list[PastEvent] = []
        characters = 0
        try:
            async for commit in self._commits(query.post_id, query.after):
                for event in self._past_events_of(commit, query.after):
                    is_full = len(events) >= query.limit or characters >= _CHARACTERS_PER_PAGE
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

    async def _commits(self, post_id: PostId, after: int) -> AsyncIterator[Commit]:
        """Raises `StreamDamaged` in place of a commit that does not follow the one before."""
        version = after
        while commits := await self._past_events.read_stream(post_id, version, _COMMITS_PER_READ):
            if version == after:
                version = await self._version_before(commits[0], after)
            for commit in commits:
                require_next(commit, version)
                yield commit
                await asyncio.sleep(0)
                version = commit.last_version

    async def _version_before(self, first: Commit, after: int) -> int:
        """The version that the first commit must follow: `after`, or less when `after` lies within the commit."""
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
