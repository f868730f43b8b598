"""The MongoDB database that holds the log: its client, its collections, and what the adapters of one process share."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from bson.binary import Binary
from bson.timestamp import Timestamp
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from adapters.mongo.errors import can_not_open, is_drivers, unavailable
from adapters.mongo.known_tip import KnownTip
from adapters.mongo.servers import SeenServers
from adapters.wire.commit_bson import CODEC_OPTIONS
from application.errors import LogChanged, StoreUnavailable

Document = dict[str, Any]
Collection = AsyncCollection[Document]

MAJORITY = ReadConcern("majority")

_SERVER_SELECTION_MS = 2_000

COMMITS_REPLACED = "its collection 'commits' was dropped, replaced or renamed"

_CHANGED_RETRY_SECONDS = 30

_log = logging.getLogger(__name__)


class MongoDatabase:
    """Opened by `async with`, in the event loop that uses it; opening asks no server for anything. A malformed address
    is `InvalidInput`, one that names a file which will not do `CannotOpen`.

    `append_timeout` and `read_timeout` are in seconds: after them an append is unsettled, a read `StoreUnavailable`.
    `seen_time` is the store's time up to which this process has seen the log; None before the first answer.
    `commits_uuid` is the UUID of the collection `commits`, once `schema` has asked for it and the login may know it.
    """

    def __init__(
        self, url: str, database: str = "postlog", append_timeout: float = 10.0, read_timeout: float = 10.0
    ) -> None:
        self.url = url
        self.name = database
        self.append_timeout = append_timeout
        self.read_timeout = read_timeout
        self.known_tip = KnownTip()
        self.servers = SeenServers()
        self._database: AsyncDatabase[Document] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen_time: Timestamp | None = None
        self.commits_uuid: Binary | None = None
        self._changed: str | None = None

    async def __aenter__(self) -> Self:
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(
                self.url, event_listeners=[self.servers], **_options(self.url)
            )
        except (PyMongoError, ValueError, OSError) as error:
            raise can_not_open(self.url, error) from None
        self.servers.client = client
        self._database = client.get_database(
            self.name,
            codec_options=CODEC_OPTIONS.with_options(tz_aware=True),
            read_preference=ReadPreference.PRIMARY,
            read_concern=MAJORITY,
            # Half of the append's time, so that an attempt whose end is unknown leaves time to find it out.
            write_concern=WriteConcern("majority", j=True, wtimeout=int(self.append_timeout * 500)),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database, self._database = self._database, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if database is not None:
            await database.client.close()

    @property
    def client(self) -> AsyncMongoClient[Document]:
        return self.database.client

    @property
    def database(self) -> AsyncDatabase[Document]:
        """Read and written with the majority, on the primary, whatever the address asks for."""
        if self._database is None:
            raise RuntimeError("The MongoDatabase is used outside its `async with`.")
        return self._database

    @property
    def commits(self) -> Collection:
        return self.database.get_collection("commits", codec_options=CODEC_OPTIONS)

    @property
    def snapshots(self) -> Collection:
        return self.database["snapshots"]

    @property
    def relay(self) -> Collection:
        """One document `lease`, one document `log` with the log's id."""
        return self.database["relay"]

    @property
    def writers(self) -> Collection:
        """What those who append tell each other: the document `barrier`, and the notes of who can't get through."""
        return self.database["writers"]

    def log_changed(self, what: str) -> LogChanged:
        """The log lost something that this process has built on: until the process ends, its event store refuses
        everything with the error returned here. Only the first call counts."""
        if self._changed is None:
            self._changed = (
                f"The log in MongoDB's database '{self.name}' (event_store.mongo.database) is not the one that this "
                f"process has built on: {what}. It was restored, dropped or edited underneath; this process takes no "
                "more commands. Stop the processes that write, check the log (`postlog doctor`, `postlog events "
                "check`), then start them again."
            )
            self.known_tip.forget()
            _log.error("%s", self._changed)
        return LogChanged(self._changed, path="event_store.mongo.database", retry_after=_CHANGED_RETRY_SECONDS)

    def require_same_commits(self, uuid: Binary) -> None:
        """That of the collection `commits` now; the first one counts. Raises `LogChanged`."""
        if self.commits_uuid is None:
            self.commits_uuid = uuid
        elif uuid != self.commits_uuid:
            raise self.log_changed(COMMITS_REPLACED)

    def require_unchanged(self) -> None:
        """Raises `LogChanged` when `log_changed` was called."""
        if self._changed is not None:
            raise self.log_changed(self._changed)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncClientSession]:
        """For one operation. A read in it goes back behind nothing that an earlier session of this process saw, also
        when a failover brought a primary that does not know yet how much of its log is majority-committed."""
        async with self.client.start_session(causal_consistency=True) as session:
            if self.seen_time is not None:
                session.advance_operation_time(self.seen_time)
            yield session
            # Not after an error: the time may be that of a write which is not majority-committed, and reads would wait.
            seen = session.operation_time
            if seen is not None and (self.seen_time is None or seen > self.seen_time):
                self.seen_time = seen

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[AsyncClientSession]:
        """`session` for at most `read_timeout` seconds; whatever the driver raises is `StoreUnavailable`."""
        try:
            # Not the driver's own timeout: with it, it would look for a server until that is over.
            async with asyncio.timeout(self.read_timeout), self.session() as session:
                yield session
        except Exception as error:
            if not is_drivers(error):
                raise
            raise self.unavailable(error) from error

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """What the driver raised, in one sentence with the setting and what to do."""
        return unavailable(self.url, error, servers=self.servers)

    def run_beside(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Until it ends, or this database is closed."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _options(url: str) -> dict[str, Any]:
    """The address may choose how long to look for a server, and nothing that the log's promises hang on."""
    options: dict[str, Any] = {"retryWrites": True, "retryReads": True, "appname": "postlog", "connect": False}
    if "serverselectiontimeoutms" not in url.lower():
        options["serverSelectionTimeoutMS"] = _SERVER_SELECTION_MS
    return options
