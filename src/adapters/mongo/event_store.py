"""The event store on MongoDB: appends, streams, and receipts of requests that changed nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from adapters.mongo.append import (
    EVENT_COUNT,
    EVENTS_COUNTED,
    GroupWrite,
    Positions,
    StreamVersion,
    StreamVersions,
    WriteTools,
    stream_version_of,
)
from adapters.mongo.database import MAJORITY, Document, MongoDatabase
from adapters.mongo.guard import LogGuard, ReadFence
from adapters.mongo.schema import SchemaCheck
from adapters.mongo.tip import CommitRef
from adapters.mongo.writer_backoff import WriterBackoff
from adapters.wire.commit_bson import commit_from_document
from application.envelopes import Commit, ProposedCommit, StreamTail
from application.ports.event_store import AppendOutcome, Receipt
from domain.ids import PostId

_DUPLICATE_KEY = 11000


class MongoPastEvents:
    """Streams, for readers that do not append: without the checks of `MongoEventStore`."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        """As `EventStore.read_stream`."""
        commits = await self._page({"streamId": stream_id, "version": {"$gt": after_version}}, limit)
        if after_version <= 0 or (commits and commits[0].version == after_version + 1):
            return commits
        return [*await self._around(stream_id, after_version), *commits][:limit]

    async def find_commit(self, commit_id: str) -> Commit | None:
        """As `EventStore.find_commit`."""
        document = await self._database.execute(
            lambda session: self._database.commits.find_one({"commitId": commit_id}, session=session)
        )
        return commit_from_document(document) if document else None

    async def last_version(self, stream_id: PostId) -> int:
        tail = await self.tail({"streamId": stream_id})
        return tail.version if tail else 0

    async def tail(self, wanted: Mapping[str, Any]) -> StreamVersion | None:
        """The last version among the commits `wanted`, which are of one stream."""
        last = await self._database.execute(
            lambda session: self._database.commits.find_one(
                wanted, EVENTS_COUNTED, sort=[("version", -1)], session=session
            )
        )
        return stream_version_of(last) if last else None

    async def _around(self, stream_id: PostId, version: int) -> list[Commit]:
        """The commit that begins at or before `version` and ends behind it, if there is one."""
        before = await self._page({"streamId": stream_id, "version": {"$lte": version}}, limit=1, newest_first=True)
        return [commit for commit in before if commit.last_version > version]

    async def _page(self, wanted: Document, limit: int, *, newest_first: bool = False) -> list[Commit]:
        """One reply of the server, which is at most 16 MB: a negative limit asks for no second one."""
        commits, order = self._database.commits, [("version", -1 if newest_first else 1)]
        found = await self._database.execute(
            lambda session: commits.find(wanted, sort=order, limit=-limit, batch_size=limit, session=session).to_list()
        )
        return [commit_from_document(document) for document in found]


class MongoEventStore:
    """A test passes another `tip_read_concern` to show what happens without majority."""

    def __init__(self, database: MongoDatabase, tip_read_concern: ReadConcern = MAJORITY) -> None:
        self._database = database
        self._past_events = MongoPastEvents(database)
        self._fence = ReadFence(database)
        self.guard = LogGuard(database, self._fence)
        self._stream_versions = StreamVersions(database, self._fence)
        self._tools = WriteTools(
            database=database,
            positions=Positions(database, tip_read_concern),
            guard=self.guard,
            stream_versions=self._stream_versions,
            backoff=WriterBackoff(database),
            schema=SchemaCheck(database),
        )
        self._writing = asyncio.Lock()

    async def append(self, commits: Sequence[ProposedCommit]) -> list[AppendOutcome]:
        """A version behind a gap is `VersionTaken` too: the log does not end where the caller believes. One call writes
        at a time, for two would only take positions from each other. Raises `SchemaOutdated` when the database lacks
        its unique keys, `LogChanged`."""
        if not commits:
            return []
        write = GroupWrite(self._tools, commits)
        async with self._writing:
            return await write.run()

    async def read_stream(self, stream_id: PostId, after_version: int = 0, limit: int = 1_000) -> list[Commit]:
        self._database.require_unchanged()
        commits, _ = await asyncio.gather(
            self._past_events.read_stream(stream_id, after_version, limit), self._recheck_log()
        )
        if commits:
            last = commits[-1]
            ref = CommitRef(last.position, last.commit_id)
            await self.guard.require_whole_to(ref)
            self._stream_versions.record(stream_id, StreamVersion(last.last_version, ref))
            self._database.committed_tip.advance(*ref)
        return commits

    async def stream_tail(self, stream_id: PostId) -> StreamTail | None:
        """Costs a small majority-committed write, which concurrent callers share."""
        self._database.require_unchanged()
        known = self._stream_versions.last(stream_id)
        await asyncio.gather(self._fence.establish(), self._recheck_log())
        tail = await self._past_events.tail({"streamId": stream_id})
        if known is not None and (tail is None or tail.version < known.version):
            raise self._database.log_changed(
                f"post {stream_id} no longer has version {known.version}, whose commit was at position "
                f"{known.commit.position}"
            )
        if tail is None:
            return None
        await self.guard.require_whole_to(tail.commit)
        self._stream_versions.record(stream_id, tail)
        return StreamTail(tail.version, tail.commit.position)

    async def holds(self, stream_id: PostId, version: int, position: int, commit_id: str) -> bool:
        wanted = {"streamId": stream_id, "version": {"$lte": version}}
        if await self._past_events.tail(wanted) != StreamVersion(version, CommitRef(position, commit_id)):
            return False
        commits = self._database.commits
        count = await self._database.execute(lambda session: commits.count_documents(wanted, session=session))
        if count >= version:
            return count == version
        versions: list[dict[str, Any]] = [
            {"$match": wanted},
            {"$group": {"_id": None, "sum": {"$sum": EVENT_COUNT}}},
        ]

        async def summed(session: AsyncClientSession) -> list[Document]:
            return await (await commits.aggregate(versions, session=session)).to_list()

        [found] = await self._database.execute(summed)
        return bool(found["sum"] == version)

    async def find_commit(self, commit_id: str) -> Commit | None:
        self._database.require_unchanged()
        commit = await self._past_events.find_commit(commit_id)
        if commit is not None:
            await self.guard.require_whole_to(CommitRef(commit.position, commit.commit_id))
        return commit

    async def keep_receipts(self, receipts: Sequence[Receipt]) -> None:
        """An index on `keptAt` lets them expire."""
        self._database.require_unchanged()
        now = datetime.now(UTC)
        documents = [_receipt_document(receipt, now) for receipt in receipts]

        async def keep(session: AsyncClientSession) -> None:
            try:
                await self._database.receipts.insert_many(documents, ordered=False, session=session)
            except BulkWriteError as error:
                if not _only_duplicates(error.details):
                    raise

        await self._database.execute(keep)

    async def find_receipt(self, commit_id: str) -> Receipt | None:
        """A majority-committed one: another process's is seen once it is acknowledged, except for the moments of a
        failover."""
        self._database.require_unchanged()
        document = await self._database.execute(
            lambda session: self._database.receipts.find_one({"_id": commit_id}, session=session)
        )
        return _receipt(document) if document else None

    async def _recheck_log(self) -> None:
        """Raises `LogChanged`, `StoreUnavailable`."""
        if not self.guard.was_checked_recently():
            await self.guard.recheck()


def _only_duplicates(details: Mapping[str, Any]) -> bool:
    """Then the majority has all of them."""
    return not details["writeConcernErrors"] and all(each["code"] == _DUPLICATE_KEY for each in details["writeErrors"])


def _receipt_document(receipt: Receipt, now: datetime) -> Document:
    return {
        "_id": receipt.commit_id,
        "requestDigest": receipt.request_digest,
        "streamId": receipt.stream_id,
        "version": receipt.version,
        "position": receipt.position,
        "keptAt": now,
    }


def _receipt(document: Document) -> Receipt:
    return Receipt(
        commit_id=document["_id"],
        request_digest=document["requestDigest"],
        stream_id=PostId(document["streamId"]),
        version=int(document["version"]),  # `Int64`, which JSON encoders refuse, when it is large
        position=int(document["position"]),
    )
