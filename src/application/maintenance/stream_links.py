"""Does each commit begin where another one of its stream ends? Asked of a whole log, read in pieces by several workers.

A worker remembers where each stream goes on, so a commit that follows what it has read costs nothing more. For others
two marks are kept: where a commit begins, and where the next one of its stream has to begin. A stream that has its
versions 1, 2, 3 … once each has a second mark for every first one, and one left over for its end. So a beginning
without its counterpart stands behind a gap, or inside another commit. Marks are 64-bit numbers, and memory is bounded
by how many streams there are.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, filterfalse

from application.envelopes import AnyCommit
from domain.ids import PostId

_SPREAD = 0x9E37_79B9_7F4A_7C15
_64_BITS = (1 << 64) - 1

_REMEMBERED = 200_000
"""Streams whose next version a worker remembers: about 30 MB."""

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
        """The positions of the commits that do not follow, in order."""
        self.drop_pairs()
        return sorted({*self.positions, *self.empty})


class StreamReader:
    """What one worker has read: fed with commits in the order of the log, as far as it reads it in order."""

    def __init__(self) -> None:
        self._following: dict[PostId, int] = {}
        self._links = StreamLinks()

    def feed(self, commits: Iterable[AnyCommit]) -> None:
        following, links = self._following, self._links
        for commit in commits:
            stream_id, version, events = commit.stream_id, commit.version, len(commit.events)
            expected = following.get(stream_id, 1)
            if expected != version:
                if version != 1:
                    links.begins.append(_mark(stream_id, version))
                    links.positions.append(commit.position)
                if expected != 1:
                    links.ends.append(_mark(stream_id, expected))
            if not events:
                links.empty.append(commit.position)
            following[stream_id] = version + events
        if len(following) > _REMEMBERED:
            self._forget()

    def take(self) -> StreamLinks:
        """The marks since the last time; what is remembered stays."""
        links, self._links = self._links, StreamLinks()
        return links

    def take_all(self) -> StreamLinks:
        self._forget()
        return self.take()

    def _forget(self) -> None:
        self._links.ends.extend([_mark(stream_id, version) for stream_id, version in self._following.items()])
        self._following.clear()


def _mark(stream_id: PostId, version: int) -> int:
    """By the random half of an id. Two that end alike could only hide a damage."""
    try:
        return (int(stream_id[19:23] + stream_id[24:], 16) + version * _SPREAD) & _64_BITS
    except ValueError:  # no id of ours: somebody wrote this commit by hand
        return (int.from_bytes(stream_id.encode(), "big") + version * _SPREAD) & _64_BITS
