"""The event store on MongoDB."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

from adapters.mongo.appending import GroupWrite, WriteTools
from adapters.mongo.barrier import Barrier
from adapters.mongo.database import MAJORITY, Document, MongoDatabase
from adapters.mongo.fairness import Turns
from adapters.mongo.guard import LogGuard
from adapters.mongo.known_tip import Place
from adapters.mongo.past_events import MongoPastEvents
from adapters.mongo.positions import Positions
from adapters.mongo.receipts import find_receipt, keep_receipts
from adapters.mongo.schema import SchemaCheck
from adapters.mongo.stream_ends import EVENTS_COUNTED, StreamEnd, StreamEnds, stream_end_of
from application.envelopes import Commit, ProposedCommit, StreamTail
from application.ports.event_store import AppendOutcome, Receipt
from domain.ids import PostId


class MongoEventStore:
    """`tip_read_concern` is there for the test that shows what happens with another than majority."""

    def __init__(self, database: MongoDatabase, tip_read_concern: ReadConcern = MAJORITY) -> None:
        self._database = database
        self._past_events = MongoPastEvents(database)
        self._barrier = Barrier(database)
        self.guard = LogGuard(database, self._barrier)
        self._stream_ends = StreamEnds(database, self._barrier)
        self._tools = WriteTools(
            database=database,
            positions=Positions(database, tip_read_concern),
            guard=self.guard,
            stream_ends=self._stream_ends,
            turns=Turns(database),
            schema=SchemaCheck(database),
        )
        self._writing = asyncio.Lock()

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        """A version behind a gap is `VersionTaken` too: the log does not stand where the commit believes. One call
        writes at a time, for two would only take positions from each other. Raises `SchemaOutdated` when the database
        lacks its unique keys, `LogChanged`."""
        if not commits:
            return []
        write = GroupWrite(self._tools, commits)
        async with self._writing:
            return await write.run()

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        self._database.require_unchanged()
        commits, _ = await asyncio.gather(
            self._past_events.read_stream(stream_id, after_version, limit), self._stood_lately()
        )
        if commits:
            last = commits[-1]
            place = Place(last.position, last.commit_id)
            await self.guard.reaches(place)
            self._stream_ends.saw(stream_id, StreamEnd(last.last_version, place))
            self._database.known_tip.saw(*place)
        return commits

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        """Costs a small majority-committed write, shared by those who ask at the same time."""
        self._database.require_unchanged()
        known = self._stream_ends.end(stream_id)
        await asyncio.gather(self._barrier.passed(), self._stood_lately())
        last = await self._database.answer(
            lambda session: self._database.commits.find_one(
                {"streamId": stream_id}, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        tail = stream_end_of(last) if last else None
        if known is not None and (tail is None or tail.version < known.version):
            raise self._database.log_changed(
                f"post {stream_id} has no version {known.version} any more, whose commit stood at position "
                f"{known.place.position}"
            )
        if tail is None:
            return None
        await self.guard.reaches(tail.place)
        self._stream_ends.saw(stream_id, tail)
        return StreamTail(tail.version, tail.place.position)

    async def holds(self, stream_id: PostId, version: int, position: int, commit_id: str) -> bool:
        wanted = {"streamId": stream_id, "version": {"$lte": version}}
        commits = self._database.commits
        last = await self._database.answer(
            lambda session: commits.find_one(wanted, EVENTS_COUNTED, sort=[("version", -1)], session=session)
        )
        if last is None or stream_end_of(last) != StreamEnd(version, Place(position, commit_id)):
            return False
        count = await self._database.answer(lambda session: commits.count_documents(wanted, session=session))
        if count >= version:
            return count == version
        versions: list[dict[str, Any]] = [
            {"$match": wanted},
            {"$group": {"_id": None, "sum": {"$sum": {"$size": "$events"}}}},
        ]

        async def summed(session: AsyncClientSession) -> list[Document]:
            return await (await commits.aggregate(versions, session=session)).to_list()

        [found] = await self._database.answer(summed)
        return bool(found["sum"] == version)

    async def find_commit(self, commit_id: str) -> Commit | None:
        self._database.require_unchanged()
        commit = await self._past_events.find_commit(commit_id)
        if commit is not None:
            await self.guard.reaches(Place(commit.position, commit.commit_id))
        return commit

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        self._database.require_unchanged()
        await keep_receipts(self._database, receipts)

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        """A majority-committed one: another process's is seen once it is acknowledged, but for the moments of a
        failover."""
        self._database.require_unchanged()
        return await find_receipt(self._database, commit_id)

    async def _stood_lately(self) -> None:
        """Raises `LogChanged`, `StoreUnavailable`."""
        if not self.guard.has_looked_lately():
            await self.guard.still_stands()
