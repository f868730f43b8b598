"""The commit log on MongoDB: the collection `commits` in the order of `_id`."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import bson
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.client_session import AsyncClientSession

from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.errors import is_driver_error, plain_reason
from adapters.mongo.guard import ReadFence
from adapters.mongo.tip import CommitRef, read_tip
from adapters.wire.commit_bson import (
    FIELDS_OF_EVENTS,
    commit_events_of,
    commit_from_document,
    documents_in,
    visit_documents,
)
from application.envelopes import Commit, CommitEvents
from application.errors import LogDamaged, StoreUnavailable
from application.log_order import require_dense
from application.ports.commit_log import CommitVisitor, Shard
from application.projections.read_ahead import ReadAhead

C = TypeVar("C", Commit, CommitEvents)

_POLL_SECONDS = 0.15
"""How long another process's append stays unseen at most when the change stream brings nothing."""

_ONLY_POSITIONS: list[dict[str, Any]] = [
    {"$match": {"operationType": "insert", "documentKey._id": {"$type": ["int", "long"]}}},
    {"$project": {"documentKey": 1}},
]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
"""Seconds before a change stream that broke, or that this login may not open, is tried again."""

_VISITED_AT_ONCE = 2_000

_TOO_FAR_BEHIND = 200
"""Changes; a stream that lags more is closed, and another one is opened at the log's end."""

ChangeStream = AsyncChangeStream[Document]

_log = logging.getLogger(__name__)


class MongoCommitLog:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._fence = ReadFence(database)
        self._notifier = ChangeStreamNotifier(database, self.tip)

    async def log_id(self) -> str:
        """The document `log` has the id, and a document of each log has it as its key: a backup of another log that was
        restored among this one's documents brings a second. Raises `LogDamaged` then."""
        while "log" not in (ids := await self._database.execute(self._log_ids)):
            await self._store_id("log", str(uuid.uuid4()))
        log_id = ids["log"]
        if _key_of(log_id) not in ids:
            await self._store_id(_key_of(log_id), log_id)
        if others := set(ids.values()) - {log_id}:
            raise LogDamaged(
                f"MongoDB's database '{self._database.name}' holds documents of two logs, {log_id} and {min(others)}: "
                f"a backup of one was restored into the other. Stop all processes, drop the database, restore the "
                f"right backup into the empty one, and run `postlog init`."
            )
        return log_id

    async def _log_ids(self, session: AsyncClientSession) -> dict[str, str]:
        found = self._database.relay.find({"_id": {"$regex": "^log"}}, session=session)
        return {each["_id"]: str(each["logId"]) for each in await found.to_list()}

    async def _store_id(self, key: str, log_id: str) -> None:
        created = {"$setOnInsert": {"logId": log_id}}
        await self._database.execute(
            lambda session: self._database.relay.update_one({"_id": key}, created, upsert=True, session=session)
        )

    async def tip(self) -> int:
        known = self._database.committed_tip.position
        tip = await self._read_tip()
        if tip.position < known:
            await self._fence.establish()
            tip = await self._read_tip()
            if tip.position < known:
                self._database.log_changed(f"it ends at position {tip.position}, and ended at {known} before")
        self._database.committed_tip.advance(*tip)
        return tip.position

    async def _read_tip(self) -> CommitRef:
        return await self._database.execute(lambda session: read_tip(self._database.commits, session))

    async def proven_tip(self) -> int:
        await self._fence.establish()
        return await self.tip()

    async def count(self, after: int, until: int) -> int:
        wanted = {"_id": {"$gt": after, "$lte": until}}
        return await self._database.execute(
            lambda session: self._database.commits.count_documents(wanted, hint=[("_id", 1)], session=session)
        )

    async def rough_count(self) -> int | None:
        return await self._database.execute(lambda _: self._database.commits.estimated_document_count())

    async def read(self, after: int, limit: int = 1_000) -> list[Commit]:
        found = await self._page({"_id": {"$gt": after}}, limit)
        return self._checked([commit_from_document(document) for document in found], after)

    async def read_events(self, after: int, limit: int = 1_000) -> list[CommitEvents]:
        found = await self._page({"_id": {"$gt": after}}, limit, of_events=True)
        return self._checked(commit_events_of(found), after)

    async def read_shard(self, after: int, until: int, shard: Shard) -> list[CommitEvents]:
        wanted = {"_id": {"$gt": after, "$lte": until}, "streamId": {"$regex": f"[{shard.last_digits}]$"}}
        return commit_events_of(await self._page(wanted, until - after, of_events=True))

    async def _page(self, wanted: Mapping[str, Any], limit: int, *, of_events: bool = False) -> list[Document]:
        """`of_events`: only the fields that `commit_events_of` needs. By the index of positions: the server would try
        others for a share. A negative limit: one reply of the server, which is at most 16 MB, and no second one."""
        commits = self._database.commits
        return await self._database.execute(
            lambda session: commits.find(
                wanted,
                FIELDS_OF_EVENTS if of_events else None,
                sort=[("_id", 1)],
                hint=[("_id", 1)],
                limit=-limit,
                batch_size=limit,
                session=session,
            ).to_list()
        )

    async def visit(self, after: int, until: int, visitor: CommitVisitor) -> None:
        async with ReadAhead[list[bytes]]() as ahead:
            ahead.begin(self._encoded(after, until))
            while documents := await ahead.result():
                last = bson.decode(documents[-1])["_id"]
                ahead.begin(self._encoded(last, until))
                await asyncio.to_thread(visit_documents, documents, after, visitor)
                after = last

    async def _encoded(self, after: int, until: int) -> list[bytes]:
        """The next documents, in one reply as for `_page`."""
        if after >= until:
            return []
        wanted, limit = {"_id": {"$gt": after, "$lte": until}}, _VISITED_AT_ONCE
        commits = self._database.commits

        async def read(session: AsyncClientSession) -> list[bytes]:
            found = commits.find_raw_batches(
                wanted, sort=[("_id", 1)], hint=[("_id", 1)], limit=-limit, batch_size=limit, session=session
            )
            return [document async for batch in found for document in documents_in(cast(bytes, batch))]

        return await self._database.execute(read)

    def _checked(self, commits: list[C], after: int) -> list[C]:
        if commits:
            require_dense(commits, after)
            self._database.committed_tip.advance(commits[-1].position, commits[-1].commit_id)
        return commits

    async def wait(self, after: int, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (left := deadline - loop.time()) > 0:
            with self._notifier.active():
                if await self._database.committed_tip.wait_beyond(after, min(left, _POLL_SECONDS)):
                    return
            try:
                async with asyncio.timeout_at(deadline):
                    await self.tip()
            except (StoreUnavailable, TimeoutError):
                return  # early: the caller's next read raises what is wrong with the store


class ChangeStreamNotifier:
    """Advances the committed tip when another process appends, by a change stream. It only saves time: the tasks that
    wait also poll. The stream is read only while a task waits: a busy follower reads the log itself."""

    def __init__(self, database: MongoDatabase, tip: Callable[[], Awaitable[int]]) -> None:
        self._database = database
        self._tip = tip
        self._waiting = 0
        self._is_needed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """The stream is read while the block lasts."""
        if self._task is None or self._task.done():
            self._task = self._database.run_in_background(
                self._run(), "watch for commits of other processes", on_client=True
            )
        self._waiting += 1
        self._is_needed.set()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._is_needed.clear()

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            await self._is_needed.wait()
            try:
                async with await self._open() as stream:
                    pause = _FIRST_PAUSE
                    await self._follow(stream)
            except Exception as error:
                if self._database.is_closed:
                    return
                if not isinstance(error, StoreUnavailable) and not is_driver_error(error):
                    raise
                level = logging.INFO if pause == _FIRST_PAUSE else logging.DEBUG
                reason = plain_reason(error)
                _log.log(level, "Polling the log, because its change stream can't be read: %s", reason)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _open(self) -> ChangeStream:
        """It begins at the time up to which this process has seen the log."""
        await self._tip()
        return await self._database.commits.watch(
            _ONLY_POSITIONS, start_at_operation_time=self._database.operation_time, max_await_time_ms=1_000
        )

    async def _follow(self, stream: ChangeStream) -> None:
        """Returns when the stream lags, because no task waited for a while."""
        # This read waits for the time at which the stream begins, so that between them they miss nothing.
        await self._tip()
        while True:
            await self._is_needed.wait()
            change = await stream.try_next()
            if change is None:
                continue
            position = int(change["documentKey"]["_id"])
            self._database.committed_tip.advance(position)
            if self._database.committed_tip.position - position > _TOO_FAR_BEHIND:
                return


def _key_of(log_id: str) -> str:
    return f"log {log_id}"
