"""Can today's code read the whole log, and does it have every version of every post? Every commit is decoded, and
nothing is changed: run it on a production log before a deployment.

The log is divided into ranges of positions, which several workers check in parallel. Does each commit begin where
another one of its stream ends? A worker remembers where the next commit of each stream must begin, so a commit that
follows what it has read costs nothing more. For the others it keeps two kinds of marks: where a commit begins, and
where the next commit of a stream must begin. A stream with its versions 1, 2, 3 … once each has a mark of the second
kind for each of the first, and one left over for its end. So a beginning without its counterpart comes after a gap, or
inside another commit. Marks are 64-bit numbers, so memory is bounded by the number of streams.
"""

import asyncio
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import compress, filterfalse
from typing import NamedTuple, Protocol

from application.envelopes import AnyCommit
from application.errors import StoreUnavailable, StreamDamaged
from application.log_order import require_next
from application.ports.commit_log import CommitLog
from application.ports.event_codec import EventCodec
from application.ports.event_store import PastEvents
from domain.errors import EventNotReadable
from domain.ids import PostId
from domain.upcasting import EventKey

_SPREAD = 0x9E37_79B9_7F4A_7C15
_64_BITS = (1 << 64) - 1

_REMEMBERED = 200_000
"""Streams whose next version a worker remembers, in about 30 MB."""

_KEPT = 1_000_000


def _numbers() -> "array[int]":
    return array("Q")


@dataclass(slots=True)
class StreamLinks:
    """`positions` are those of the commits that left `begins`; `empty` those of commits without events."""

    begins: "array[int]" = field(default_factory=_numbers)
    positions: "array[int]" = field(default_factory=_numbers)
    ends: "array[int]" = field(default_factory=_numbers)
    empty: list[int] = field(default_factory=list)

    def add(self, other: "StreamLinks") -> None:
        self.begins += other.begins
        self.positions += other.positions
        self.ends += other.ends
        self.empty += other.empty
        if len(self.begins) > _KEPT:
            self.drop_pairs()

    def drop_pairs(self) -> None:
        pairs = frozenset(self.begins).intersection(self.ends)
        if pairs:
            alone = [begin not in pairs for begin in self.begins]
            self.positions = array("Q", compress(self.positions, alone))
            self.begins = array("Q", compress(self.begins, alone))
            self.ends = array("Q", filterfalse(pairs.__contains__, self.ends))

    def broken(self) -> Sequence[int]:
        """The positions of the commits that don't follow another one of their stream, in order."""
        self.drop_pairs()
        return sorted({*self.positions, *self.empty})


class StreamReader:
    """The links of what one worker has read. Cheapest when it is fed in the order of the log."""

    def __init__(self) -> None:
        self._following: dict[PostId, int] = {}
        self._links = StreamLinks()

    def follow(self, position: int, stream_id: PostId, version: int, events: int) -> None:
        """A commit of so many events."""
        following = self._following
        if (expected := following.get(stream_id, 1)) != version:
            if version != 1:
                self._links.begins.append(_mark(stream_id, version))
                self._links.positions.append(position)
            if expected != 1:
                self._links.ends.append(_mark(stream_id, expected))
        if not events:
            self._links.empty.append(position)
        following[stream_id] = version + events

    def take(self) -> StreamLinks:
        """The marks since the last call; what is remembered stays, unless it is too much."""
        if len(self._following) > _REMEMBERED:
            self._forget()
        links, self._links = self._links, StreamLinks()
        return links

    def take_all(self) -> StreamLinks:
        self._forget()
        return self.take()

    def _forget(self) -> None:
        self._links.ends.extend([_mark(stream_id, version) for stream_id, version in self._following.items()])
        self._following.clear()


def _mark(stream_id: PostId, version: int) -> int:
    """From the random half of an id. If two ids end alike, damage could be missed, but none is reported in error."""
    try:
        return (int(stream_id[19:23] + stream_id[24:], 16) + version * _SPREAD) & _64_BITS
    except ValueError:  # no id of ours: this commit was written by hand
        return (int.from_bytes(stream_id.encode(), "big") + version * _SPREAD) & _64_BITS


COMMITS_A_RANGE = 4_000

_COMMITS_A_READ = 2_000


class PositionRange(NamedTuple):
    """The positions after `after` and up to `until`."""

    after: int
    until: int


class Unreadable(NamedTuple):
    """A commit that can't be read, and the stored event that causes it: `version` is its number in the stream."""

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
    event that causes it. `places` are the first of these, in the order of the log. `links` has the commits that don't
    follow another one of their stream; in the end, `damaged` counts them, and `damages` are the first."""

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


class RangeWorker(Protocol):
    async def check(self, positions: PositionRange, places: int) -> Tally:
        """At most the first `places` places. Raises `StoreUnavailable`."""
        ...

    async def last_links(self) -> StreamLinks:
        """What its tallies did not have yet, after the last range."""
        ...


class RangeCheck:
    """The worker in this process."""

    def __init__(self, log: CommitLog, codec: EventCodec) -> None:
        self._log = log
        self._codec = codec
        self._streams = StreamReader()

    async def check(self, positions: PositionRange, places: int) -> Tally:
        visitor = TallyingVisitor(self._codec, self._streams)
        await self._log.visit(*positions, visitor)
        tally = visitor.tally(places)
        reached = positions.after + tally.commits
        if reached != positions.until:
            raise StoreUnavailable(
                f"The log ends at position {reached}, though it had a commit at {positions.until} before."
            )
        return tally

    async def last_links(self) -> StreamLinks:
        return self._streams.take_all()


class EventsCheck:
    def __init__(self, log: CommitLog, past_events: PastEvents, workers: Sequence[RangeWorker], places: int) -> None:
        self._log = log
        self._past_events = past_events
        self._workers = workers
        self._places = places

    async def run(self, report: Callable[[int], None]) -> Tally:
        """Everything up to the tip as it is now. `report` is called with how many commits are done. Raises
        `StoreUnavailable`."""
        total = Tally()
        left = _split(list(ranges_up_to(await self._log.tip())), len(self._workers))

        async def work(worker: RangeWorker, mine: deque[PositionRange]) -> None:
            while mine or any(left):
                positions = mine.popleft() if mine else max(left, key=len).pop()
                total.add(await worker.check(positions, self._places), self._places)
                report(total.commits)

        tasks = [asyncio.create_task(work(*each)) for each in zip(self._workers, left, strict=True)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if total.links.begins:  # one worker alone can't know
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


def _split(ranges: Sequence[PositionRange], workers: int) -> list[deque[PositionRange]]:
    """Each worker has a part of the log, which it reads in order; one that is done takes from the end of another's."""
    size = -(-len(ranges) // workers)
    return [deque(ranges[number * size : (number + 1) * size]) for number in range(workers)]


def ranges_up_to(tip: int) -> Iterator[PositionRange]:
    return (PositionRange(after, min(after + COMMITS_A_RANGE, tip)) for after in range(0, tip, COMMITS_A_RANGE))


class TallyingVisitor:
    """Most commits are only a text, whose events are verified without creating them. The others are decoded."""

    def __init__(self, codec: EventCodec, streams: StreamReader) -> None:
        self._codec = codec
        self._streams = streams
        self._commits = 0
        self._events: list[EventKey] = []
        self._places: list[Unreadable] = []

    def visit_text(self, position: int, stream_id: PostId, version: int, events: str | bytes) -> bool:
        types = self._codec.readable_types(events)
        if not types:
            return False
        self._commits += 1
        self._events += types
        self._streams.follow(position, stream_id, version, len(types))
        return True

    def visit(self, commit: AnyCommit) -> None:
        self._commits += 1
        self._events += [(event.type, event.schema_version) for event in commit.events]
        self._streams.follow(commit.position, commit.stream_id, commit.version, len(commit.events))
        try:
            self._codec.decode(commit)
        except EventNotReadable as error:
            self._places.append(_place(commit, error))

    def tally(self, places: int) -> Tally:
        unreadable = Counter([(place.type, place.schema_version) for place in self._places])
        first = nsmallest(places, self._places)
        return Tally(self._commits, Counter(self._events), unreadable, first, self._streams.take())


def _place(commit: AnyCommit, error: EventNotReadable) -> Unreadable:
    """When the events of a commit can't be read together, the first is named."""
    version = commit.version if error.version is None else error.version
    event = commit.events[version - commit.version]
    return Unreadable(commit.position, commit.stream_id, version, event.type, event.schema_version, error.message)
