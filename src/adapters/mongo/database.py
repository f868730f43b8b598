"""The MongoDB database that holds the log: its client, its collections, and what the adapters of one process share.

No call of the driver is cancelled while it is under way. On Python 3.11 pymongo 4.20 waits for a server with
`asyncio.wait_for`, which runs the wait for its topology's condition in a task of its own; a cancellation at the wrong
moment leaves the topology's lock taken, and then no call of that client ever ends, `close` included. So each call has
a task of its own here (`shield`): a caller that is cancelled, or whose time is up, stops waiting, and the call ends by
the driver's own limits.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from bson.binary import Binary
from bson.codec_options import CodecOptions
from bson.timestamp import Timestamp
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from adapters.mongo.errors import SeenServers, cannot_open, is_driver_error, is_without_sessions, unavailable
from adapters.mongo.tip import CommittedTip
from adapters.wire.commit_bson import CODEC_OPTIONS
from application.errors import LogChanged, StoreUnavailable

T = TypeVar("T")

Document = dict[str, Any]
Collection = AsyncCollection[Document]

MAJORITY = ReadConcern("majority")

_SERVER_SELECTION_MS = 2_000
_CLOSE_SECONDS = 2.0

_SECONDS_BETWEEN_CLIENTS = 5.0

_ATTEMPTS = 2
"""The driver repeats a read, and a write, once."""

logger = logging.getLogger(__name__)

COMMITS_REPLACED = "its collection 'commits' was dropped, replaced or renamed"

_CHANGED_RETRY_SECONDS = 30


def _without_trace(record: logging.LogRecord) -> bool:
    """A server that goes away is no bug of the driver's background tasks, which log it as one."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, PyMongoError):
        record.msg = f"MongoDB's driver could not close what it no longer needs: {error}"
        record.args, record.exc_info = (), None
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


class MongoDatabase:
    """Opened by `async with`, in the event loop that uses it; opening sends no request to a server. A malformed address
    raises `InvalidInput`, one that names an unusable file `CannotOpen`. Closing takes a few seconds at most, whatever
    the driver does.

    `append_timeout` and `read_timeout` are in seconds: after them an append is unsettled, a read `StoreUnavailable`.
    `is_closed` tells background tasks to end. `operation_time` is the store's time up to which this process has seen
    the log; None before the first reply. `commits_uuid` is the UUID of the collection `commits`, once `schema` has
    asked for it and the login may know it.
    """

    def __init__(
        self, url: str, database: str = "postlog", append_timeout: float = 10.0, read_timeout: float = 10.0
    ) -> None:
        self.url = url
        self.name = database
        self.append_timeout = append_timeout
        self.read_timeout = read_timeout
        self.committed_tip = CommittedTip()
        self.servers = SeenServers()
        self._database: AsyncDatabase[Document] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_client: set[asyncio.Task[Any]] = set()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._silent_since = 0.0
        self._replaced_at = -_SECONDS_BETWEEN_CLIENTS
        self.is_closed = False
        self.operation_time: Timestamp | None = None
        self.commits_uuid: Binary | None = None
        self._changed: str | None = None

    async def __aenter__(self) -> Self:
        logging.getLogger("pymongo.client").addFilter(_without_trace)
        self._database = self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The client first: its calls are cancelled only when it is no longer used.
        self.is_closed = True
        await _close(self.client)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        self._database = None

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
    def receipts(self) -> Collection:
        """The answers to requests that changed nothing."""
        return self.database["receipts"]

    @property
    def snapshots(self) -> Collection:
        return self.database["snapshots"]

    @property
    def relay(self) -> Collection:
        """One document `lease`, one document `log` with the log's id."""
        return self.database["relay"]

    @property
    def writers(self) -> Collection:
        """Shared by the processes that append: the read fence's document `barrier`, and the claims of slow writers."""
        return self.database["writers"]

    def log_changed(self, what: str) -> LogChanged:
        """The log lost commits that this process has built on: until the process ends, its event store refuses every
        call with the error returned here. Only the first call counts."""
        if self._changed is None:
            self._changed = (
                f"The log in MongoDB's database '{self.name}' (event_store.mongo.database) is not the one that this "
                f"process has built on: {what}. It was restored, dropped or edited while this process ran, which takes "
                "no more commands. Stop the processes that write, check the log (`postlog doctor`, `postlog events "
                "check`), then start them again."
            )
            self.committed_tip.reset()
            logger.error("%s", self._changed)
        return LogChanged(self._changed, path="event_store.mongo.database", retry_after=_CHANGED_RETRY_SECONDS)

    def require_same_commits(self, uuid: Binary) -> None:
        """Compare the collection `commits` as it is now with the first one that was seen. Raises `LogChanged`."""
        if self.commits_uuid is None:
            self.commits_uuid = uuid
        elif uuid != self.commits_uuid:
            raise self.log_changed(COMMITS_REPLACED)

    def require_unchanged(self) -> None:
        """Raises `LogChanged` when `log_changed` was called."""
        if self._changed is not None:
            raise self.log_changed(self._changed)

    async def execute(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """As `call`, for at most `read_timeout` seconds; every error of the driver becomes `StoreUnavailable`."""
        with self.translated_errors():
            # Not the driver's own timeout: with it, it would look for a server until that is over.
            async with asyncio.timeout(self.read_timeout):
                return await self.call(work)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Errors of the driver become `StoreUnavailable`, all others stay as they are."""
        try:
            yield
        except Exception as error:
            if not is_driver_error(error):
                raise
            raise self.unavailable(error) from error

    def unavailable(self, error: Exception) -> StoreUnavailable:
        """One sentence for an error of the driver, with the setting and what to do."""
        return unavailable(self.url, error, servers=self.servers)

    async def call(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """One operation in a session, under `shield`. A read in it returns no older state than an earlier session of
        this process saw, also when a failover brought a primary that does not yet know how much of its log is
        majority-committed. Raises what the driver raises."""
        return await self.shield(self._in_session(work))

    async def shield(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call of the driver. A caller that is cancelled only stops waiting for it."""
        now = asyncio.get_running_loop().time()
        if not self._under_way:
            self._silent_since = now
        task = self.run_in_background(call, "call of the driver", on_client=True)
        self._under_way.add(task)
        task.add_done_callback(self._call_ended)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task.add_done_callback(partial(_wake, ended))  # as `asyncio.wait`, in a quarter of its time
        try:
            await ended
        except asyncio.CancelledError:
            task.add_done_callback(_log_abandoned)
            self._replace_silent_client()
            raise
        if task.cancelled():
            raise ConnectionFailure("the client was closed meanwhile")
        return task.result()

    def run_in_background(self, work: Coroutine[Any, Any, T], name: str, *, on_client: bool = False) -> asyncio.Task[T]:
        """Run until it ends, or this database is closed. `on_client`: it calls the driver itself, and is cancelled
        with its client."""
        task = asyncio.create_task(work, name=name)
        for tasks in (self._tasks, self._on_client) if on_client else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return task

    async def _in_session(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        async with self.client.start_session(causal_consistency=True) as session:
            if self.operation_time is not None:
                session.advance_operation_time(self.operation_time)
            result = await work(session)
            self.advance_operation_time(session.operation_time)
            return result

    def advance_operation_time(self, seen: Timestamp | None) -> None:
        """`seen` is in a reply of the store, but not in an error: its time may be that of a write which is not
        majority-committed, and reads would wait."""
        if seen is not None and (self.operation_time is None or seen > self.operation_time):
            self.operation_time = seen

    def _call_ended(self, task: asyncio.Task[Any]) -> None:
        """Calls of a client that was replaced are ignored."""
        if task in self._under_way:
            self._under_way.discard(task)
            self._silent_since = asyncio.get_running_loop().time()
            if not task.cancelled() and is_without_sessions(task.exception()):
                self._replace_client("MongoDB's driver keeps connections from an election, which have no sessions")

    def _replace_silent_client(self) -> None:
        """Each call of a working client ends by the driver's own limits, at the latest with an error."""
        silent = asyncio.get_running_loop().time() - self._silent_since
        if self._under_way and silent >= self._longest_call:
            self._replace_client(f"MongoDB's driver has ended no call for {silent:.0f} s")

    def _replace_client(self, reason: str) -> None:
        """The calls of the old one may still end, for as long as a call may take."""
        now = asyncio.get_running_loop().time()
        if self.is_closed or now - self._replaced_at < _SECONDS_BETWEEN_CLIENTS:
            return
        logger.warning("%s; replacing the client", reason)
        self._replaced_at = now
        old, calls, longest = self.client, set(self._on_client), self._longest_call
        self._database, self._under_way = self._connected(), set()
        self.run_in_background(_close_when_idle(old, calls, longest), "close of a client that was replaced")

    def _connected(self) -> AsyncDatabase[Document]:
        self.servers = SeenServers()
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(
                self.url, event_listeners=[self.servers], **self._options()
            )
        except (PyMongoError, ValueError, OSError) as error:
            raise cannot_open(self.url, error) from None
        self.servers.client = client
        return client.get_database(
            self.name,
            codec_options=CodecOptions(tz_aware=True),
            read_preference=ReadPreference.PRIMARY,
            read_concern=MAJORITY,
            # Half of the append's time, so that an attempt with an unknown outcome leaves time to resolve it.
            write_concern=WriteConcern("majority", j=True, wtimeout=int(self.append_timeout * 500)),
        )

    @property
    def _longest_call(self) -> float:
        """In seconds, by the driver's own limits."""
        return _ATTEMPTS * (self.client.options.server_selection_timeout + self._longest_seconds)

    @property
    def _longest_seconds(self) -> float:
        """How long the driver waits for one reply."""
        return max(self.append_timeout, self.read_timeout)

    def _options(self) -> dict[str, Any]:
        """The address may set how long to look for a server, but no option that the log's promises depend on."""
        longest = int(self._longest_seconds * 1_000)
        options: dict[str, Any] = {
            "retryWrites": True,
            "retryReads": True,
            "appname": "postlog",
            "connect": False,
            "socketTimeoutMS": longest,
            "waitQueueTimeoutMS": longest,
        }
        if "serverselectiontimeoutms" not in self.url.lower():
            options["serverSelectionTimeoutMS"] = _SERVER_SELECTION_MS
        return options


async def _close(client: AsyncMongoClient[Document]) -> None:
    """Gives up after a few seconds."""
    closing = asyncio.ensure_future(client.close())
    await asyncio.wait((closing,), timeout=_CLOSE_SECONDS)
    if not closing.done():
        logger.warning("MongoDB's driver did not close its connections within %g s; leaving them open", _CLOSE_SECONDS)
        closing.cancel()
    elif error := closing.exception():
        logger.warning("MongoDB's driver could not close its connections: %s", error)


async def _close_when_idle(client: AsyncMongoClient[Document], calls: set[asyncio.Task[Any]], seconds: float) -> None:
    try:
        if calls:
            await asyncio.wait(calls, timeout=seconds)
    finally:  # also when the database is closed meanwhile
        await _close(client)
        for task in calls:
            task.cancel()


def _wake(waiting: asyncio.Future[None], _: asyncio.Task[Any]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _log_abandoned(task: asyncio.Task[Any]) -> None:
    """Its caller no longer waits; an error of the driver is of no further use."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, PyMongoError):
        logger.error("a call failed after its caller had stopped waiting", exc_info=error)
