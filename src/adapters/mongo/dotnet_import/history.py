"""Reads the history of the .NET course's system from its MongoDB collection, once, into a staging file."""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from struct import Struct
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar, cast

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from adapters.mongo.dotnet_import.documents import dotnet_event, other_post, unreadable
from adapters.mongo.dotnet_import.staging import DotnetStaging, staging_folder
from adapters.mongo.errors import SeenServers, cannot_open, unavailable
from adapters.threads import DaemonThreadPool
from application.errors import CannotOpen, StoreUnavailable
from application.ports.history_source import DotnetEvent, UnrecognizedDocument
from domain.ids import PostId

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 1_000
_SERVER_SELECTION_MS = 5_000
_REPLY_MS = 60_000
_CLOSE_SECONDS = 10.0

_LENGTH = Struct("<i")
_AS_WRITTEN: CodecOptions[Mapping[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

_WITHOUT_BAD_TEXT = _AS_WRITTEN.with_options(unicode_decode_error_handler="replace")
"""For a document whose text is not UTF-8: enough to know its post."""


class _Opened(NamedTuple):
    collection: AsyncCollection[dict[str, Any]]
    staging: DotnetStaging


class MongoDotnetHistory:
    """Opened by `async with`, in the event loop that uses it; opening sends no request to a server. A malformed address
    raises `InvalidInput`; `given_by` is the setting's name for messages. What was read is kept in a temporary folder
    (`TMPDIR`) until it is closed. One thread uses the staging file, and closes it: when the block ends, work that its
    caller has abandoned may still be running."""

    def __init__(self, url: str, database: str, collection: str, given_by: str = "MONGO_URL") -> None:
        self._url = url
        self._given_by = given_by
        self._database = database
        self._collection = collection
        self._stack = AsyncExitStack()
        self._thread = DaemonThreadPool("postlog-import", limit=1)
        self._servers = SeenServers()
        self._now_open: _Opened | None = None

    async def __aenter__(self) -> Self:
        try:
            client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                self._url,
                appname="postlog import-dotnet",
                connect=False,
                serverSelectionTimeoutMS=_SERVER_SELECTION_MS,
                socketTimeoutMS=_REPLY_MS,
                event_listeners=[self._servers],
            )
            self._servers.client = client
            collection = client[self._database][self._collection]
        except (PyMongoError, ValueError, OSError) as error:
            raise cannot_open(self._url, error, self._given_by) from None
        async with AsyncExitStack() as stack:
            stack.push_async_callback(client.close)
            folder = stack.enter_context(staging_folder())
            stack.push_async_callback(self._thread.close, _CLOSE_SECONDS)
            staging = await self._stage(DotnetStaging, folder / "events.sqlite")
            stack.push_async_callback(self._close, staging)
            self._stack = stack.pop_all()
        self._now_open = _Opened(collection, staging)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._now_open = None
        await self._stack.__aexit__(kind, error, trace)

    async def count(self) -> int:
        try:
            return await self._opened.collection.estimated_document_count()
        except PyMongoError as error:
            raise self._unavailable(error) from error

    async def read(self) -> AsyncIterator[tuple[int, Sequence[UnrecognizedDocument]]]:
        collection, staging = self._opened
        done = 0
        try:
            async with collection.find_raw_batches({}, batch_size=_PAGE) as batches:
                async for batch in batches:
                    documents = list(_documents(cast("bytes", batch)))
                    read = [each for raw in documents for each in _decoded(raw)]
                    await self._stage(staging.add, [each for each in read if isinstance(each, DotnetEvent)])
                    done += len(documents)
                    yield done, [each for each in read if isinstance(each, UnrecognizedDocument)]
        except PyMongoError as error:
            raise self._unavailable(error) from error

    async def by_post(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        staging = self._opened.staging
        places = await self._stage(staging.sort_by_post)
        for after in range(0, places, _PAGE):
            yield await self._stage(staging.by_post, after, after + _PAGE)

    async def in_order(self) -> AsyncIterator[Sequence[DotnetEvent]]:
        staging = self._opened.staging
        places = await self._stage(staging.sort_in_order)
        for after in range(0, places, _PAGE):
            yield await self._stage(staging.in_order, after, after + _PAGE)

    async def skip_post(self, post_id: PostId) -> None:
        await self._stage(self._opened.staging.skip_post, post_id)

    async def skip_event(self, document_id: str) -> None:
        await self._stage(self._opened.staging.skip_event, document_id)

    async def remaining_events(self) -> int:
        return await self._stage(self._opened.staging.remaining_events)

    async def _close(self, staging: DotnetStaging) -> None:
        staging.interrupt()
        await self._stage(staging.close)

    async def _stage(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._thread.run(partial(work, *args, **kwargs))
        except sqlite3.Error as error:
            folder = tempfile.gettempdir()
            raise CannotOpen(
                f"Can't store the history that was read in {folder}: {error}. Free space there, or name another folder "
                "in TMPDIR.",
                path="TMPDIR",
            ) from error

    @property
    def _opened(self) -> _Opened:
        if self._now_open is None:
            raise RuntimeError("The MongoDotnetHistory is used outside its `async with`.")
        return self._now_open

    def _unavailable(self, error: PyMongoError) -> StoreUnavailable:
        return unavailable(self._url, error, self._given_by, what="source", servers=self._servers)


def _documents(batch: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(batch):
        end = start + _LENGTH.unpack_from(batch, start)[0]
        yield batch[start:end]
        start = end


def _decoded(raw: bytes) -> Iterator[DotnetEvent | UnrecognizedDocument]:
    """One event, and a second one when the document names two posts: neither of them can be imported without it."""
    problem = None
    try:
        document = bson.decode(raw, _AS_WRITTEN)
    except BSONError:
        problem = "it holds text that is not UTF-8"
        try:
            document = bson.decode(raw, _WITHOUT_BAD_TEXT)
        except BSONError as error:
            yield UnrecognizedDocument("unknown", f"it can't be decoded: {error}")
            return
    event = dotnet_event(document)
    if isinstance(event, UnrecognizedDocument):
        yield UnrecognizedDocument(event.document_id, problem or event.problem)
        return
    yield unreadable(event.document_id, event.post_id, problem) if problem else event
    other = other_post(document, event.post_id)
    if other is not None:
        yield unreadable(event.document_id, other, f"its AggregateIdentifier is of post {event.post_id}")
