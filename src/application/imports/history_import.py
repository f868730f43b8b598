"""One post as another system has it: is its history whole, and does it make sense here?

Append events of another system as they are, each as one commit whose id is derived from post and version. What the
log holds already is compared, and never replaced.

Import the history of the .NET course's system: every event as it is, as one commit, with its id, time and place.

The commit ids are derived from post and version, so an import that was interrupted, or is run again, goes on where the
log stops. What the log holds is compared with the source, and never replaced. A post whose history is not whole is left
out whole, and reported: nothing is guessed.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from application.envelopes import Commit, ProposedCommit, StoredEvent
from application.errors import EventNotApplicable, StoreUnavailable
from application.ports.event_codec import EventCodec
from application.ports.event_store import Appended, AppendOutcome, EventStore, NotTried, Unsettled
from application.ports.history_source import DotnetEvent, DotnetHistory, UnrecognizedDocument
from application.ports.system import Clock
from application.projections.post import WholePost
from domain.errors import EventNotReadable
from domain.ids import PostId

_MOST_SHOWN = 100
"""So many documents of a post are shown at most whose version can't be read."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A post that is not imported, or not further. `reason` is a clause; `events` show it."""

    post_id: PostId
    reason: str
    events: Sequence[DotnetEvent]


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Of several events with one version the oldest was taken, and these were not."""

    post_id: PostId
    taken: DotnetEvent
    dropped: Sequence[DotnetEvent]


@dataclass(slots=True)
class ImportedStream:
    """Fed with the events of one post, by version and time. `take_first`: of several events with one version, the
    oldest is taken; otherwise the post is left out."""

    post_id: PostId
    codec: EventCodec
    take_first: bool
    skipped: Skipped | None = None
    healed: list[Deduplicated] = field(default_factory=list)
    _same_version: list[DotnetEvent] = field(default_factory=list)
    _version: int = 0
    _folded: WholePost | None = None

    def feed(self, event: DotnetEvent) -> None:
        if self.skipped is not None:
            return
        if self._same_version and self._same_version[0].version != event.version:
            self.settle()
        if event.version or len(self._same_version) < _MOST_SHOWN:
            self._same_version.append(event)

    def settle(self) -> None:
        """What was fed is complete up to its last version."""
        same, self._same_version = self._same_version, []
        if not same or self.skipped is not None:
            return
        first, *others = same
        reason = self._obstacle(same)
        if reason is not None:
            self.skipped = Skipped(self.post_id, reason, same)
            return
        self._version = first.version
        if others:
            self.healed.append(Deduplicated(self.post_id, first, others))

    def _obstacle(self, same: Sequence[DotnetEvent]) -> str | None:
        """What can't be read may be the removal of the post, so nothing of the post is imported without it."""
        event = same[0]
        if not event.version:
            return f"document {event.document_id} of it can't be read: {event.problem}"
        if len(same) > 1 and not self.take_first:
            return f"{len(same)} events have the version {event.version}"
        if event.version != self._version + 1:
            return f"the event with version {self._version + 1} is missing"
        for each in same:
            if each.event is None:
                return f"the event with version {event.version} can't be read: {each.problem}"
        if event.event is None or event.recorded_at is None:
            return f"the event with version {event.version} has no time"
        try:
            self._apply(event, event.event, event.recorded_at)
        except (EventNotReadable, EventNotApplicable) as error:
            return f"the event with version {event.version} makes no sense: {error.message}"
        return None

    def _apply(self, event: DotnetEvent, stored: StoredEvent, recorded_at: datetime) -> None:
        commit = Commit(
            position=0,
            stream_id=self.post_id,
            version=event.version,
            commit_id="",
            recorded_at=recorded_at,
            metadata={},
            events=(stored,),
        )
        if self._folded is None:
            self._folded = WholePost(self.post_id)
        self._folded.apply(self.codec.decode(commit), event.version)


_IMPORTED_HISTORY = UUID("3d8b3c1e-3f57-5f0e-9d3a-0c9a3f2b7e61")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@dataclass(slots=True)
class ImportedPage:
    """`new` events were appended, `present` ones stood in the log before; `position` is the highest of them."""

    new: int = 0
    present: int = 0
    position: int = 0
    skipped: list[Skipped] = field(default_factory=list)


class _Pending(NamedTuple):
    event: DotnetEvent
    commit: ProposedCommit


class HistoryAppender:
    """While the log is away it is asked again for `patience` seconds."""

    def __init__(self, store: EventStore, clock: Clock, patience: float) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience

    async def append(self, events: Sequence[DotnetEvent]) -> ImportedPage:
        """Those of one post by version. A post of which the log has another history is left out from there on. Raises
        `StoreUnavailable`."""
        page = ImportedPage()
        pending = [_Pending(event, _commit(event)) for event in events]
        pause, give_up = _FIRST_PAUSE, self._clock.monotonic() + self._patience
        while pending:
            outcomes = await self._store.append([each.commit for each in pending])
            left = await self._sort_out(pending, outcomes, page)
            if len(left) < len(pending):
                pause, give_up = _FIRST_PAUSE, self._clock.monotonic() + self._patience
            elif self._clock.monotonic() + pause > give_up:
                raise StoreUnavailable(f"{_reason(outcomes)} What was imported stays; run the same import again.")
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            pending = left
        return page

    async def _sort_out(
        self, pending: Sequence[_Pending], outcomes: Sequence[AppendOutcome], page: ImportedPage
    ) -> list[_Pending]:
        """Those that must be tried again, in their order."""
        again: set[tuple[PostId, int]] = set()
        stuck: dict[PostId, list[tuple[_Pending, AppendOutcome]]] = {}
        for each, outcome in zip(pending, outcomes, strict=True):
            if isinstance(outcome, Appended):
                page.new += 1
                page.position = max(page.position, outcome.position)
            elif isinstance(outcome, Unsettled):
                again.add((each.event.post_id, each.event.version))
            else:
                stuck.setdefault(each.event.post_id, []).append((each, outcome))
        for post_id, refused in stuck.items():
            again |= {(post_id, version) for version in await self._compare(post_id, refused, page)}
        return [each for each in pending if (each.event.post_id, each.event.version) in again]

    async def _compare(
        self, post_id: PostId, refused: Sequence[tuple[_Pending, AppendOutcome]], page: ImportedPage
    ) -> list[int]:
        """Look at what the log has in their place: the versions that it lacks, and that must be tried again."""
        first, outcome = refused[0]
        stored = await self._store.read_stream(post_id, first.event.version - 1, len(refused))
        for index, (each, _) in enumerate(refused):
            if index == len(stored) and (index or isinstance(outcome, NotTried)):
                return [later.event.version for later, _ in refused[index:]]
            if index == len(stored) or not _is_same(stored[index], each.commit):
                page.skipped.append(Skipped(post_id, _conflict(each.event.version), [each.event]))
                return []
            page.present += 1
            page.position = max(page.position, stored[index].position)
        return []


def _commit(event: DotnetEvent) -> ProposedCommit:
    if event.event is None or event.recorded_at is None:
        raise ValueError(f"Event {event.version} of post {event.post_id} can't be read; its post must be left out.")
    actor = event.event.data.get("author") or event.event.data.get("username")
    return ProposedCommit(
        stream_id=event.post_id,
        version=event.version,
        commit_id=str(uuid5(_IMPORTED_HISTORY, f"{event.post_id}:{event.version}")),
        recorded_at=event.recorded_at,
        metadata={"actor": actor} if actor else {},
        events=(event.event,),
    )


def _is_same(stored: Commit, commit: ProposedCommit) -> bool:
    return (
        stored.commit_id == commit.commit_id
        and stored.version == commit.version
        and stored.recorded_at == commit.recorded_at
        and stored.events == commit.events
    )


def _conflict(version: int) -> str:
    return (
        f"the log has another history from version {version} on: the post was changed in Postlog, or something else "
        "was imported"
    )


def _reason(outcomes: Sequence[AppendOutcome]) -> str:
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Unsettled)]
    return reasons[0] if reasons else "The event store kept refusing what it does not hold."


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

    async def read(self) -> AsyncIterator[tuple[int, Sequence[UnrecognizedDocument]]]:
        """How many documents are read, and those that belong to no post. Raises `Unavailable`."""
        async for page in self._source.read():
            yield page

    async def check(self) -> AsyncIterator[tuple[int, Sequence[Skipped | Deduplicated]]]:
        """How many events are checked, and what was found."""
        post: ImportedStream | None = None
        done = 0
        async for page in self._source.by_post():
            found: list[Skipped | Deduplicated] = []
            for event in page:
                if post is None or post.post_id != event.post_id:
                    found += await self._end(post)
                    post = ImportedStream(event.post_id, self._codec, self._take_first)
                post.feed(event)
            done += len(page)
            yield done, found
        yield done, await self._end(post)

    async def _end(self, post: ImportedStream | None) -> list[Skipped | Deduplicated]:
        if post is None:
            return []
        post.settle()
        if post.skipped is not None:
            await self._source.skip_post(post.post_id)
            return [post.skipped]
        for healed in post.healed:
            for event in healed.dropped:
                await self._source.skip_event(event.document_id)
        return list(post.healed)

    async def events(self) -> int:
        """How many `append` is about to bring into the log."""
        return await self._source.remaining_events()

    async def append(self) -> AsyncIterator[ImportedPage]:
        """Raises `StoreUnavailable` when patience is over: what was imported stays, and the same import can be run
        again."""
        async for events in self._source.in_order():
            page = await self._appender.append(events)
            for skipped in page.skipped:
                await self._source.skip_post(skipped.post_id)
            yield page
