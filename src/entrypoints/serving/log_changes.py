"""Tells open streams when their post may have new events: one look at the log's end serves all streams of a process,
and one read of a post's events all streams of that post.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from application.mediator import QueryDispatcher
from application.query_side.log_queries import ListChangedPosts
from application.query_side.queries import HistoryPage, ListEvents
from domain.errors import PostlogError
from domain.ids import PostId
from entrypoints.serving.event_stream import stopping_within

logger = logging.getLogger(__name__)


class LogChanges:
    """Looks every `seconds` while anybody follows a post, until `stopping` is set; everybody is woken then. Belongs to
    one event loop."""

    def __init__(self, queries: QueryDispatcher, stopping: asyncio.Event, seconds: float) -> None:
        self._queries = queries
        self._stopping = stopping
        self._seconds = seconds
        self._followers: dict[PostId, set[asyncio.Event]] = {}
        self._pages: dict[ListEvents, asyncio.Task[HistoryPage]] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, post_id: PostId) -> Iterator[asyncio.Event]:
        """The event is set whenever the post may have changed; at first, too, for what happened before."""
        changed = asyncio.Event()
        changed.set()
        self._followers.setdefault(post_id, set()).add(changed)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="changes of the log")
        try:
            yield changed
        finally:
            self._followers[post_id].discard(changed)
            if not self._followers[post_id]:
                del self._followers[post_id]

    async def events(self, query: ListEvents) -> HistoryPage:
        """As the query answers it; what was read since the last look is not read again. For followers, who are woken by
        the next look when there is more. Raises as the query."""
        reading = self._pages.get(query)
        if reading is None:
            reading = self._pages[query] = asyncio.create_task(self._queries.ask(query))
            reading.add_done_callback(self._note)
        return await asyncio.shield(reading)

    async def _look(self) -> None:
        position: int | None = None
        while self._followers and not self._stopping.is_set():
            try:
                changed = await self._queries.ask(ListChangedPosts(after=position))
            except PostlogError as error:
                logger.info("event streams wait: %s", error.code)
                position = None
                self._wake(None)  # what is wrong shows when they read
            else:
                position = changed.position
                self._wake(changed.posts)
            await stopping_within(self._stopping, self._seconds)
        self._looking = None
        self._wake(None)

    def _wake(self, posts: frozenset[PostId] | None) -> None:
        self._pages.clear()
        for post_id in list(self._followers) if posts is None else posts & self._followers.keys():
            for changed in self._followers[post_id]:
                changed.set()

    @staticmethod
    def _note(reading: "asyncio.Task[HistoryPage]") -> None:
        """So that nothing is said of an error for which nobody waited any more."""
        if not reading.cancelled():
            reading.exception()
