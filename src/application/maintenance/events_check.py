"""Can today's code read the whole log, and does it have every version of every post? Every commit is decoded, and
nothing is changed: to be tried on a production log before a deployment.

The log is divided into spans of positions, which several workers check side by side.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import NamedTuple, Protocol

from application.envelopes import Commit
from application.errors import StoreUnavailable, StreamDamaged
from application.log_order import require_next
from application.maintenance.garbage import seldom_searched
from application.maintenance.stream_links import StreamLinks, StreamReader
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
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


class Damage(NamedTuple):
    """A post of which the log lacks a version, or has it twice."""

    position: int
    post_id: PostId
    reason: str


@dataclass(slots=True)
class Tally:
    """`events` counts all stored events by name and schema version, `unreadable` the commits that can't be read by the
    event that is to blame. `places` are the first of these, in the order of the log. `links` tells which commits do not
    follow those before them; in the end, `damaged` counts them, and `damages` are the first."""

    commits: int = 0
    events: Counter[EventKey] = field(default_factory=Counter)
    unreadable: Counter[EventKey] = field(default_factory=Counter)
    places: Sequence[Unreadable] = ()
    links: StreamLinks = field(default_factory=StreamLinks)
    damaged: int = 0
    damages: Sequence[Damage] = ()

    def add(self, other: "Tally", places: int) -> None:
        """Keeps at most `places` places."""
        self.commits += other.commits
        self.events += other.events
        self.unreadable += other.unreadable
        self.places = nsmallest(places, [*self.places, *other.places])
        self.links.add(other.links)


class SpanWorker(Protocol):
    async def check(self, span: Span, places: int) -> Tally:
        """At most the first `places` places. Raises `StoreUnavailable`."""
        ...

    async def last_links(self) -> StreamLinks:
        """What its tallies did not have yet, after the last span."""
        ...


class SpanCheck:
    """The worker that does it itself."""

    def __init__(self, log: CommitLog, codec: EventCodec) -> None:
        self._log = log
        self._codec = codec
        self._streams = StreamReader()

    async def check(self, span: Span, places: int) -> Tally:
        tally = Tally()
        with seldom_searched():
            async with ReadAhead[list[Commit]]() as ahead:
                ahead.begin(self._read(span.after, span.until))
                while commits := await ahead.result():
                    ahead.begin(self._read(commits[-1].position, span.until))
                    tally.add(await asyncio.to_thread(self._checked, commits), places)
        return tally

    async def last_links(self) -> StreamLinks:
        return self._streams.take_all()

    def _checked(self, commits: Sequence[Commit]) -> Tally:
        tally = _checked(commits, self._codec)
        self._streams.feed(commits)
        tally.links = self._streams.take()
        return tally

    async def _read(self, after: int, until: int) -> list[Commit]:
        if after == until:
            return []
        commits = await self._log.read(after, min(_COMMITS_A_READ, until - after))
        if not commits:
            raise StoreUnavailable(f"The log ends at position {after}, though it had a commit at {until} before.")
        return commits


class EventsCheck:
    def __init__(self, log: CommitLog, past_events: PastEvents, workers: Sequence[SpanWorker], places: int) -> None:
        self._log = log
        self._past_events = past_events
        self._workers = workers
        self._places = places

    async def run(self, note: Callable[[int], None]) -> Tally:
        """Everything up to the tip as it is now. `note` is handed how many commits are done. Raises
        `StoreUnavailable`."""
        total = Tally()
        left = _divided(list(spans_up_to(await self._log.tip())), len(self._workers))

        async def work(worker: SpanWorker, mine: deque[Span]) -> None:
            while mine or any(left):
                span = mine.popleft() if mine else max(left, key=len).pop()
                total.add(await worker.check(span, self._places), self._places)
                note(total.commits)

        tasks = [asyncio.create_task(work(*each)) for each in zip(self._workers, left, strict=True)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if total.links.begins:  # what one worker can't tell alone
            for worker in self._workers:
                total.links.add(await worker.last_links())
        await self._name_damages(total)
        return total

    async def _name_damages(self, total: Tally) -> None:
        broken = total.links.broken()
        total.damaged = len(broken)
        damages: dict[PostId, Damage] = {}
        for position in broken:
            if len(damages) >= self._places:
                break
            [commit] = await self._log.read(position - 1, 1)
            if commit.stream_id not in damages:
                reason = await self._damage_of(commit.stream_id)
                damages[commit.stream_id] = Damage(position, commit.stream_id, reason)
        total.damages = list(damages.values())

    async def _damage_of(self, post_id: PostId) -> str:
        version = 0
        try:
            while commits := await self._past_events.read_stream(post_id, version, _COMMITS_A_READ):
                for commit in commits:
                    require_next(commit, version)
                    version = commit.last_version
        except StreamDamaged as error:
            return error.message
        return f"The commits of post {post_id} do not follow each other in the order of their positions."


def _divided(spans: Sequence[Span], workers: int) -> list[deque[Span]]:
    """Each worker has a piece of the log, which it reads in order; who is done first takes from another's end."""
    size = -(-len(spans) // workers)
    return [deque(spans[number * size : (number + 1) * size]) for number in range(workers)]


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
