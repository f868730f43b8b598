"""Can today's code read the whole log? Every commit is decoded, and nothing is changed: to be tried on a production log
before a deployment.

The log is divided into spans of positions, which several workers check side by side.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple, Protocol

from application.envelopes import Commit
from application.errors import StoreUnavailable
from application.maintenance.garbage import seldom_searched
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.projections.read_ahead import ReadAhead
from domain.errors import EventNotReadable
from domain.ids import PostId
from domain.upcasting import EventKey

COMMITS_A_SPAN = 4_000

_COMMITS_A_READ = 2_000


class Span(NamedTuple):
    """The positions behind `after` and up to `until`."""

    after: int
    until: int


class Unreadable(NamedTuple):
    """A commit that can't be read, and the stored event that is to blame: `version` is its number in the stream."""

    position: int
    post_id: PostId
    version: int
    type: str
    schema_version: int
    reason: str


@dataclass(slots=True)
class Tally:
    """`events` counts all stored events by name and schema version, `unreadable` the commits that can't be read by the
    event that is to blame. `places` are the first of these, in the order of the log."""

    commits: int = 0
    events: Counter[EventKey] = field(default_factory=Counter)
    unreadable: Counter[EventKey] = field(default_factory=Counter)
    places: Sequence[Unreadable] = ()

    def add(self, other: "Tally", places: int) -> None:
        """Keeps at most `places` places."""
        self.commits += other.commits
        self.events += other.events
        self.unreadable += other.unreadable
        self.places = nsmallest(places, [*self.places, *other.places])


class SpanWorker(Protocol):
    async def check(self, span: Span, places: int) -> Tally:
        """At most the first `places` places. Raises `StoreUnavailable`."""
        ...


class SpanCheck:
    """The worker that does it itself."""

    def __init__(self, log: CommitLog, codec: EventCodec) -> None:
        self._log = log
        self._codec = codec

    async def check(self, span: Span, places: int) -> Tally:
        tally = Tally()
        with seldom_searched():
            async with ReadAhead[list[Commit]]() as ahead:
                ahead.begin(self._read(span.after, span.until))
                while commits := await ahead.result():
                    ahead.begin(self._read(commits[-1].position, span.until))
                    tally.add(await asyncio.to_thread(_checked, commits, self._codec), places)
        return tally

    async def _read(self, after: int, until: int) -> list[Commit]:
        if after == until:
            return []
        commits = await self._log.read(after, min(_COMMITS_A_READ, until - after))
        if not commits:
            raise StoreUnavailable(f"The log ends at position {after}, though it had a commit at {until} before.")
        return commits


class EventsCheck:
    def __init__(self, log: CommitLog, workers: Sequence[SpanWorker], places: int) -> None:
        self._log = log
        self._workers = workers
        self._places = places

    async def run(self, note: Callable[[int], None]) -> Tally:
        """Everything up to the tip as it is now. `note` is handed how many commits are done. Raises
        `StoreUnavailable`."""
        total = Tally()
        spans = spans_up_to(await self._log.tip())

        async def work(worker: SpanWorker) -> None:
            for span in spans:
                total.add(await worker.check(span, self._places), self._places)
                note(total.commits)

        tasks = [asyncio.create_task(work(worker)) for worker in self._workers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return total


def spans_up_to(tip: int) -> Iterator[Span]:
    return (Span(after, min(after + COMMITS_A_SPAN, tip)) for after in range(0, tip, COMMITS_A_SPAN))


def _checked(commits: Sequence[Commit], codec: EventCodec) -> Tally:
    events = Counter([(event.type, event.schema_version) for commit in commits for event in commit.events])
    places: list[Unreadable] = []
    for commit in commits:
        try:
            codec.decode(commit)
        except EventNotReadable as error:
            places.append(_place(commit, error))
    unreadable = Counter([(place.type, place.schema_version) for place in places])
    return Tally(len(commits), events, unreadable, places)


def _place(commit: Commit, error: EventNotReadable) -> Unreadable:
    """Where the events of a commit can't be read together, the first stands for all of them."""
    version = commit.version if error.version is None else error.version
    event = commit.events[version - commit.version]
    return Unreadable(commit.position, commit.stream_id, version, event.type, event.schema_version, error.message)
