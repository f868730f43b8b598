"""Does a commit stand directly behind the commits of its stream that are in the log?

The unique key (streamId, version) refuses a second commit that begins at a version, but not one that begins inside
another, nor one behind a gap. So a commit is only sent when its version is 1 or follows the last version of a commit
that is majority-committed. Together with the key this keeps every stream dense, whatever a caller believes.
"""

import asyncio
from collections.abc import Iterable

from adapters.mongo.barrier import Barrier
from adapters.mongo.database import MongoDatabase
from application.envelopes import ProposedCommit
from domain.ids import PostId

EVENTS_COUNTED = {"version": 1, "events": {"$size": "$events"}}
"""Projection of a commit: its version and how many events it has."""


class StreamEnds:
    """Bounded memory of the last versions that reads and appends of this process have shown."""

    def __init__(self, database: MongoDatabase, barrier: Barrier, capacity: int = 100_000) -> None:
        self._database = database
        self._barrier = barrier
        self._capacity = capacity
        self._ends: dict[PostId, int] = {}

    def saw(self, stream_id: PostId, last_version: int) -> None:
        """A commit that ends with `last_version` is majority-committed."""
        known = self._ends.pop(stream_id, 0)
        self._ends[stream_id] = max(known, last_version)
        if len(self._ends) > self._capacity:
            del self._ends[next(iter(self._ends))]

    def allows(self, commit: ProposedCommit) -> bool:
        return self._ends.get(commit.stream_id, 0) == commit.version - 1

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
        return [commit for commit in commits if self._ends.get(commit.stream_id, 0) < commit.version - 1]

    async def _learn(self, commit: ProposedCommit) -> None:
        before = {"streamId": commit.stream_id, "version": {"$lt": commit.version}}
        last = await self._database.call(
            lambda session: self._database.commits.find_one(
                before, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        if last is not None:
            self.saw(commit.stream_id, last["version"] + last["events"] - 1)
