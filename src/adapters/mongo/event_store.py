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
from adapters.mongo.past_events import MongoPastEvents
from adapters.mongo.positions import Positions
from adapters.mongo.receipts import find_receipt, keep_receipts
from adapters.mongo.schema import SchemaCheck
from adapters.mongo.stream_ends import EVENTS_COUNTED, StreamEnds
from application.envelopes import Commit, ProposedCommit, StreamTail
from application.ports.event_store import AppendOutcome, Receipt
from domain.ids import PostId


class MongoEventStore:
    """`tip_read_concern` is there for the test that shows what happens with another than majority."""

    def __init__(self, database: MongoDatabase, tip_read_concern: ReadConcern = MAJORITY) -> None:
        self._database = database
        self._past_events = MongoPastEvents(database)
        self._barrier = Barrier(database)
        self._stream_ends = StreamEnds(database, self._barrier)
        self._tools = WriteTools(
            database=database,
            positions=Positions(database, tip_read_concern),
            stream_ends=self._stream_ends,
            turns=Turns(database),
            schema=SchemaCheck(database),
        )
        self._writing = asyncio.Lock()

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        """A version behind a gap is `VersionTaken` too: the log does not stand where the commit believes. One call
        writes at a time, for two would only take positions from each other. Raises `SchemaOutdated` when the database
        lacks its unique keys."""
        if not commits:
            return []
        write = GroupWrite(self._tools, commits)
        async with self._writing:
            return await write.run()

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        commits = await self._past_events.read_stream(stream_id, after_version, limit)
        if commits:
            self._stream_ends.saw(stream_id, commits[-1].last_version)
            self._database.known_tip.saw(commits[-1].position)
        return commits

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        """Costs a small majority-committed write, shared by those who ask at the same time."""
        await self._barrier.passed()
        last = await self._database.answer(
            lambda session: self._database.commits.find_one(
                {"streamId": stream_id}, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        return StreamTail(last["version"] + last["events"] - 1, int(last["_id"])) if last else None

    async def holds(self, stream_id: PostId, version: int, position: int) -> bool:
        wanted = {"streamId": stream_id, "version": {"$lte": version}}
        commits = self._database.commits
        end = await self._database.answer(
            lambda session: commits.find_one(wanted, EVENTS_COUNTED, sort=[("version", -1)], session=session)
        )
        if end is None or (end["_id"], end["version"] + end["events"] - 1) != (position, version):
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
        return await self._past_events.find_commit(commit_id)

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        await keep_receipts(self._database, receipts)

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        """A majority-committed one: another process's is seen once it is acknowledged, but for the moments of a
        failover."""
        return await find_receipt(self._database, commit_id)
