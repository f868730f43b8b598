"""Does a commit stand directly behind the commits of its stream that are in the log?

The unique key (streamId, version) refuses a second commit that begins at a version, but not one that begins inside
another, nor one behind a gap. So a commit is only sent when its version is 1 or follows the last version of a commit
that is majority-committed. Together with the key this keeps every stream dense, whatever a caller believes.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from adapters.mongo.barrier import Barrier
from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.known_tip import Place
from adapters.wire.commit_bson import foreign_document
from application.envelopes import ProposedCommit
from domain.ids import PostId

EVENTS_COUNTED = {
    "version": 1,
    "commitId": 1,
    "events": {"$cond": [{"$isArray": "$events"}, {"$size": "$events"}, None]},
}
"""Projection of a commit for `stream_end_of`: how many events it has, in place of the events."""


class StreamEnd(NamedTuple):
    """The last version of a stream, and the commit that holds it."""

    version: int
    place: Place


def stream_end_of(document: Document) -> StreamEnd:
    """Raises `LogDamaged` for a document that is no commit."""
    position, version, events = document["_id"], document.get("version"), document.get("events")
    if not (isinstance(position, int) and isinstance(version, int) and isinstance(events, int)):
        raise foreign_document(position)
    return StreamEnd(version + events - 1, Place(int(position), document.get("commitId")))


class StreamEnds:
    """Bounded memory of the last versions that reads and appends of this process have shown."""

    def __init__(self, database: MongoDatabase, barrier: Barrier, capacity: int = 100_000) -> None:
        self._database = database
        self._barrier = barrier
        self._capacity = capacity
        self._ends: dict[PostId, StreamEnd] = {}

    def saw(self, stream_id: PostId, end: StreamEnd) -> None:
        """This commit of the stream is majority-committed. Raises `LogChanged` when another one held its version."""
        known = self._ends.pop(stream_id, end)
        if known.version == end.version and known != end:
            raise self._database.log_changed(
                f"version {end.version} of post {stream_id} stands at position {end.place.position} and is another "
                f"commit than before, which stood at {known.place.position}"
            )
        self._ends[stream_id] = max(known, end, key=lambda each: each.version)
        if len(self._ends) > self._capacity:
            del self._ends[next(iter(self._ends))]

    def end(self, stream_id: PostId) -> StreamEnd | None:
        """As far as it is known."""
        return self._ends.get(stream_id)

    def allows(self, commit: ProposedCommit) -> bool:
        return self._last_version(commit.stream_id) == commit.version - 1

    async def learn(self, commits: Iterable[ProposedCommit]) -> None:
        """Look up what has to be known to `allow` the first commit of each stream."""
        firsts: dict[PostId, ProposedCommit] = {}
        for commit in commits:
            firsts.setdefault(commit.stream_id, commit)
        if unknown := self._beyond_what_is_known(firsts.values()):
            await asyncio.gather(*(self._learn(commit) for commit in unknown))
        if unknown := self._beyond_what_is_known(unknown):
            # The caller knows more than this read has shown: it is wrong, or the primary is a new one and lags.
            await self._barrier.passed()
            await asyncio.gather(*(self._learn(commit) for commit in unknown))

    def _beyond_what_is_known(self, commits: Iterable[ProposedCommit]) -> list[ProposedCommit]:
        return [commit for commit in commits if self._last_version(commit.stream_id) < commit.version - 1]

    def _last_version(self, stream_id: PostId) -> int:
        end = self._ends.get(stream_id)
        return end.version if end else 0

    async def _learn(self, commit: ProposedCommit) -> None:
        before = {"streamId": commit.stream_id, "version": {"$lt": commit.version}}
        last = await self._database.call(
            lambda session: self._database.commits.find_one(
                before, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        if last is not None:
            self.saw(commit.stream_id, stream_end_of(last))
