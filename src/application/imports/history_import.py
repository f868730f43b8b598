"""Import the history of the .NET course's system: every event as it is, as one commit, with its time and order.

The commit ids are derived from post and version, so an import that was interrupted, or is run again, resumes where the
log ends. Events that the log already holds are compared with the source, and never replaced. A post whose history is
incomplete or invalid is skipped as a whole, and reported: nothing is guessed.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from application.backoff import Patience
from application.envelopes import AnyStoredEvent, Commit, ProposedCommit
from application.errors import EventNotApplicable, StoreUnavailable
from application.ports.event_codec import EventCodec
from application.ports.event_store import Appended, AppendOutcome, EventStore, NotTried, Unsettled
from application.ports.history_source import DotnetEvent, DotnetHistory, UnrecognizedDocument
from application.ports.system import Clock
from application.projections.post import WholePost
from domain.errors import EventNotReadable
from domain.ids import PostId

_MAX_SHOWN = 100
"""How many of a post's documents without a readable version are reported."""

_IMPORTED_HISTORY = UUID("3d8b3c1e-3f57-5f0e-9d3a-0c9a3f2b7e61")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A post that is not imported, or not further. `reason` is a clause; `events` are the evidence."""

    post_id: PostId
    reason: str
    events: Sequence[DotnetEvent]


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Of several events with one version the oldest was taken, and the others were dropped."""

    post_id: PostId
    taken: DotnetEvent
    dropped: Sequence[DotnetEvent]


@dataclass(slots=True)
class ImportedPage:
    """`new` events were appended, `present` ones were in the log before; `position` is the highest of them."""

    new: int = 0
    present: int = 0
    position: int = 0
    skipped: list[Skipped] = field(default_factory=list)


class HistoryImport:
    """Three steps, run one after the other: `read`, `check`, `append`. If the log is unavailable, the import retries
    for `patience` seconds. `take_first`: of several events with one version take the oldest, instead of skipping the
    post.
    """

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
        """The approximate number of documents. Raises `Unavailable`."""
        return await self._source.count()

    async def read(self) -> AsyncIterator[tuple[int, Sequence[UnrecognizedDocument]]]:
        """Yields how many documents are read so far, and those that belong to no post. Raises `Unavailable`."""
        async for page in self._source.read():
            yield page

    async def check(self) -> AsyncIterator[tuple[int, Sequence[Skipped | Deduplicated]]]:
        """Yields how many events are checked so far, and the findings."""
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

    async def _end(self, post: "ImportedStream | None") -> list[Skipped | Deduplicated]:
        if post is None:
            return []
        post.end_version()
        if post.skipped is not None:
            await self._source.skip_post(post.post_id)
            return [post.skipped]
        for each in post.deduplicated:
            for event in each.dropped:
                await self._source.skip_event(event.document_id)
        return list(post.deduplicated)

    async def events(self) -> int:
        """How many events `append` is going to import."""
        return await self._source.remaining_events()

    async def append(self) -> AsyncIterator[ImportedPage]:
        """Raises `StoreUnavailable` when patience is exhausted: everything imported so far stays, and the same import
        can be run again.
        """
        async for events in self._source.in_order():
            page = await self._appender.append(events)
            for skipped in page.skipped:
                await self._source.skip_post(skipped.post_id)
            yield page


@dataclass(slots=True)
class ImportedStream:
    """Checks that a post's history is complete and valid. It is fed the events of the post, by version and time."""

    post_id: PostId
    codec: EventCodec
    take_first: bool
    skipped: Skipped | None = None
    deduplicated: list[Deduplicated] = field(default_factory=list)
    _same_version: list[DotnetEvent] = field(default_factory=list)
    _version: int = 0
    _folded: WholePost | None = None

    def feed(self, event: DotnetEvent) -> None:
        if self.skipped is not None:
            return
        if self._same_version and self._same_version[0].version != event.version:
            self.end_version()
        if event.version or len(self._same_version) < _MAX_SHOWN:
            self._same_version.append(event)

    def end_version(self) -> None:
        """All events of the last version that was fed are there."""
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
            self.deduplicated.append(Deduplicated(self.post_id, first, others))

    def _obstacle(self, same: Sequence[DotnetEvent]) -> str | None:
        """An unreadable document may be the removal of the post, so nothing of the post is imported without it."""
        event = same[0]
        if not event.version:
            return f"its document {event.document_id} can't be read: {event.problem}"
        if len(same) > 1 and not self.take_first:
            return f"{len(same)} events have version {event.version}"
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
            return f"the event with version {event.version} can't be applied: {error.message}"
        return None

    def _apply(self, event: DotnetEvent, stored: AnyStoredEvent, recorded_at: datetime) -> None:
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


class _Pending(NamedTuple):
    event: DotnetEvent
    commit: ProposedCommit


class HistoryAppender:
    """Appends each event as one commit, and retries for `patience` seconds while the log is unavailable."""

    def __init__(self, store: EventStore, clock: Clock, patience: float) -> None:
        self._store = store
        self._clock = clock
        self._patience = patience

    async def append(self, events: Sequence[DotnetEvent]) -> ImportedPage:
        """The events of one post must be given by version. If the log has a different history of a post, the post is
        skipped from there on. Raises `StoreUnavailable`.
        """
        page = ImportedPage()
        pending = [_Pending(event, _commit(event)) for event in events]
        patience = Patience(self._clock.monotonic, self._patience)
        while pending:
            outcomes = await self._store.append([each.commit for each in pending])
            rest = await self._sort_out(pending, outcomes, page)
            if len(rest) < len(pending):
                patience.reset()
            elif not await patience.pause():
                raise StoreUnavailable(f"{_reason(outcomes)} What was imported stays; run the same import again.")
            pending = rest
        return page

    async def _sort_out(
        self, pending: Sequence[_Pending], outcomes: Sequence[AppendOutcome], page: ImportedPage
    ) -> list[_Pending]:
        """Count what is in the log; return what must be tried again, in order."""
        again: set[tuple[PostId, int]] = set()
        refused_by_post: dict[PostId, list[tuple[_Pending, AppendOutcome]]] = {}
        for each, outcome in zip(pending, outcomes, strict=True):
            if isinstance(outcome, Appended):
                page.new += 1
                page.position = max(page.position, outcome.position)
            elif isinstance(outcome, Unsettled):
                again.add((each.event.post_id, each.event.version))
            else:
                refused_by_post.setdefault(each.event.post_id, []).append((each, outcome))
        for post_id, refused in refused_by_post.items():
            again |= {(post_id, version) for version in await self._compare(post_id, refused, page)}
        return [each for each in pending if (each.event.post_id, each.event.version) in again]

    async def _compare(
        self, post_id: PostId, refused: Sequence[tuple[_Pending, AppendOutcome]], page: ImportedPage
    ) -> list[int]:
        """Compare with what the log has in their place; return the versions that it lacks, to be tried again."""
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
        raise ValueError(f"Event {event.version} of post {event.post_id} can't be read; its post must be skipped.")
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
        f"the log has a different history from version {version} on: the post was changed in Postlog, or something "
        "else was imported"
    )


def _reason(outcomes: Sequence[AppendOutcome]) -> str:
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Unsettled)]
    return reasons[0] if reasons else "The event store kept rejecting commits that it does not hold."
