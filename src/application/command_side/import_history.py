"""Import the history of the .NET course's system: every event as it is, as one commit, with its id, time and place.

The commit ids are derived from post and version, so an import that was interrupted, or is run again, goes on where the
log stops. What the log holds is compared with the source, and never replaced. A post whose history is not whole is left
out whole, and reported: nothing is guessed.
"""

from collections.abc import AsyncIterator, Sequence

from application.command_side.append_history import HistoryAppender, ImportedPage
from application.command_side.foreign_posts import ForeignPost, Healed, LeftOut
from application.ports.event_codec import EventCodec
from application.ports.event_store import EventStore
from application.ports.history_source import DotnetHistory, StrayDocument
from application.ports.system import Clock


class HistoryImport:
    """Its three parts are run one after the other. While the log is away it is asked again for `patience` seconds."""

    def __init__(
        self,
        *,
        source: DotnetHistory,
        store: EventStore,
        codec: EventCodec,
        clock: Clock,
        take_first: bool,
        patience: float = 60.0,
    ) -> None:
        self._source = source
        self._codec = codec
        self._take_first = take_first
        self._appender = HistoryAppender(store, clock, patience)

    async def documents(self) -> int:
        """About how many there are. Raises `Unavailable`."""
        return await self._source.count()

    async def read(self) -> AsyncIterator[tuple[int, Sequence[StrayDocument]]]:
        """How many documents are read, and those that belong to no post. Raises `Unavailable`."""
        async for page in self._source.read():
            yield page

    async def check(self) -> AsyncIterator[tuple[int, Sequence[LeftOut | Healed]]]:
        """How many events are checked, and what was found."""
        post: ForeignPost | None = None
        done = 0
        async for page in self._source.by_post():
            found: list[LeftOut | Healed] = []
            for event in page:
                if post is None or post.post_id != event.post_id:
                    found += await self._end(post)
                    post = ForeignPost(event.post_id, self._codec, self._take_first)
                post.feed(event)
            done += len(page)
            yield done, found
        yield done, await self._end(post)

    async def _end(self, post: ForeignPost | None) -> list[LeftOut | Healed]:
        if post is None:
            return []
        post.settle()
        if post.left_out is not None:
            await self._source.leave_out_post(post.post_id)
            return [post.left_out]
        for healed in post.healed:
            for event in healed.dropped:
                await self._source.leave_out_event(event.document_id)
        return list(post.healed)

    async def events(self) -> int:
        """How many `append` is about to bring into the log."""
        return await self._source.events_left()

    async def append(self) -> AsyncIterator[ImportedPage]:
        """Raises `StoreUnavailable` when patience is over: what was imported stays, and the same import can be run
        again."""
        async for events in self._source.in_order():
            page = await self._appender.append(events)
            for left_out in page.left_out:
                await self._source.leave_out_post(left_out.post_id)
            yield page
