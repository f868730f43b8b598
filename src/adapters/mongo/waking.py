"""Wakes those who wait for commits of other processes, by a change stream. Only a convenience: who waits also polls."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.asynchronous.change_stream import AsyncChangeStream

from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.errors import is_drivers
from adapters.mongo.servers import plain_reason
from application.errors import StoreUnavailable

_ONLY_POSITIONS: list[dict[str, Any]] = [
    {"$match": {"operationType": "insert", "documentKey._id": {"$type": ["int", "long"]}}},
    {"$project": {"documentKey": 1}},
]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
"""Seconds before a change stream that broke, or that this login may not open, is tried again."""

_TOO_FAR_BEHIND = 200
"""Changes; a stream that lags more is opened anew at the log's end."""

ChangeStream = AsyncChangeStream[Document]

_log = logging.getLogger(__name__)


class ChangeWatch:
    """Reads the stream only while somebody waits: a busy follower reads the log itself and needs no waking."""

    def __init__(self, database: MongoDatabase, tip: Callable[[], Awaitable[int]]) -> None:
        self._database = database
        self._tip = tip
        self._waiting = 0
        self._somebody_waits = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """While somebody waits."""
        if self._task is None or self._task.done():
            self._task = self._database.run_beside(
                self._watch_for_ever(), "watch for commits of other processes", on_client=True
            )
        self._waiting += 1
        self._somebody_waits.set()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._somebody_waits.clear()

    async def _watch_for_ever(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            await self._somebody_waits.wait()
            try:
                async with await self._opened() as stream:
                    pause = _FIRST_PAUSE
                    await self._follow(stream)
            except Exception as error:
                if self._database.is_closed:
                    return
                if not isinstance(error, StoreUnavailable) and not is_drivers(error):
                    raise
                level = logging.INFO if pause == _FIRST_PAUSE else logging.DEBUG
                reason = plain_reason(error)
                _log.log(level, "The log is polled as long as its change stream can't be read: %s", reason)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _opened(self) -> ChangeStream:
        """From the time up to which this process has seen the log."""
        await self._tip()
        return await self._database.commits.watch(
            _ONLY_POSITIONS, start_at_operation_time=self._database.seen_time, max_await_time_ms=1_000
        )

    async def _follow(self, stream: ChangeStream) -> None:
        """Until it lags, because nobody waited for a while."""
        # This look waits for the time at which the stream begins, so that between them they miss nothing.
        await self._tip()
        while True:
            await self._somebody_waits.wait()
            change = await stream.try_next()
            if change is None:
                continue
            position = int(change["documentKey"]["_id"])
            self._database.known_tip.saw(position)
            if self._database.known_tip.position - position > _TOO_FAR_BEHIND:
                return
