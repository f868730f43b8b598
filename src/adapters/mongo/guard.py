"""Proof that what is read next misses nothing that was acknowledged before.

A primary that was deposed without knowing it, or a new one that does not know yet how much of its log the majority has,
answers a majority read with an older state. So before a tail is believed, a small write is majority-committed: only a
true primary can do that, and every commit acknowledged before stands before that write in its log. A read that waits
for the write's time sees them all. (The server's own linearizable reads do the same, but wait for its periodic journal
flush: 100 ms on a set of one node, measured, against 2 ms.)

Does the log still hold what a write builds on?

A restore, a drop or an edit by hand takes commits away underneath a running process, and what it writes then stands
behind a gap for ever. So nothing is acknowledged before one read, later than the insert, has shown the new commit and
everything that it relies on: the commits between the last one that this process has checked and its base, and the end
of each stream that it continues. That read runs beside the insert, while the server waits for journal and majority, on
another connection; see docs/log-on-mongodb.md.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from adapters.mongo.database import MongoDatabase
from adapters.mongo.errors import is_driver_error
from adapters.mongo.schema import Index, missing_indexes
from adapters.mongo.tip import START, CommitRef


class ReadFence:
    """Those who wait while one write is under way share the next."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._under_way: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def passed(self) -> None:
        """Returns when a write that began after this call is majority-committed; sessions of the database that begin
        afterwards read no older state. Raises `StoreUnavailable`."""
        if self._next is None:
            self._next = self._database.run_beside(self._write_after(self._under_way), "barrier")
        await asyncio.shield(self._next)

    async def _write_after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._under_way, self._next = self._next, None
        passed = {"$inc": {"passed": 1}}
        await self._database.answer(
            lambda session: self._database.writers.update_one({"_id": "barrier"}, passed, upsert=True, session=session)
        )


MOST_POSITIONS = 1_000
"""So many below a base are looked at. A write that was not acknowledged leaves its gap directly below itself, and has
at most this many commits."""

LOOK_SECONDS = 0.05
"""A write that begins so long after the last look at the indexes looks at them again: a collection that was dropped is
refused by its UUID, so this is for `dropIndexes` alone. A read that begins so long after the last look at the log looks
whether that still stands: a refusal must not rest on a log that was restored."""

COMMENT = "postlog guard"
"""By which the server's profiler shows these reads."""

_LARGE_GROUP = 16
_PAUSE = 0.001
"""Seconds between looks for a large group, whose insert takes a while; a small one is there at the first or second."""

_Found = dict[int, Any]


class LogGuard:
    """Of one process's writes. What it finds missing is looked for again behind a barrier, so that a primary that lags
    raises no false alarm; after that every call of the event store is refused (`MongoDatabase.require_unchanged`)."""

    def __init__(self, database: MongoDatabase, fence: ReadFence) -> None:
        self._database = database
        self._fence = fence
        self._checked: CommitRef | None = None
        self._indexes_at = float("-inf")
        self._looked_at = float("-inf")

    @property
    def has_begun(self) -> bool:
        """Whether anything was checked yet. Before the first write this is done ahead of it, not beside it."""
        return self._checked is not None

    def has_reached(self, place: CommitRef) -> bool:
        """Whether the log was whole up to `place` when it was checked."""
        return self._checked is not None and place.position <= self._checked.position

    def relied_on(self, base: CommitRef, ends: Iterable[CommitRef] = ()) -> dict[int, str | None]:
        """By position, what must stand in the log for a write behind `base` that continues streams with these ends."""
        checked = self._checked or START
        lowest = max(checked.position, base.position - MOST_POSITIONS + 1, 1)
        relied: dict[int, str | None] = dict.fromkeys(range(lowest, base.position + 1))
        for place in (checked, base, *ends):
            if place.position and (place.commit_id is not None or place.position not in relied):
                relied[place.position] = place.commit_id
        return relied

    async def reaches(self, place: CommitRef) -> None:
        """Returns when the log is known to be whole from what was checked before to `place`. Raises `LogChanged`,
        `StoreUnavailable`."""
        if not self.has_reached(place):
            await self.check(self.relied_on(place), place)

    def has_looked_lately(self) -> bool:
        """As it has while writes are checked; or there is nothing to look for yet."""
        return self._checked is None or time.monotonic() - self._looked_at < LOOK_SECONDS

    async def still_stands(self, positions: int = 1) -> None:
        """Raises `LogChanged` when so many of the newest commits that were checked are not there any more,
        `StoreUnavailable`."""
        if self._checked is not None:
            last = self._checked.position
            relied: dict[int, str | None] = dict.fromkeys(range(max(last - positions + 1, 1), last + 1))
            relied.update([self._checked] if last else [])
            await self.check(relied, self._checked)

    async def beside(self, inserting: "asyncio.Future[Any]", relied: Mapping[int, str | None], own: CommitRef) -> bool:
        """Whether one read has shown `own`, the last commit of the insert under way, and all that it relies on. Ends
        with the insert. Raises as `reaches`."""
        await self._check_indexes()
        pause = _PAUSE if own.position - max(relied, default=0) > _LARGE_GROUP else 0.0
        while not inserting.done():
            await asyncio.sleep(0)  # the insert is sent first
            if pause and (await asyncio.wait((inserting,), timeout=pause))[0]:
                break
            found = await self._find([own.position, *relied], "local")
            await self._require(relied, found)
            if found.get(own.position) == own.commit_id:
                return True
        return False

    async def check(self, relied: Mapping[int, str | None], upto: CommitRef) -> None:
        """Raises as `reaches` unless all of it stands; `upto` is the newest commit of it."""
        if relied:
            await self._require(relied, await self._find(list(relied), "local"))
        self.passed(upto)

    def passed(self, place: CommitRef) -> None:
        """The majority-committed commit at `place` was seen, with all that it relies on. Raises `LogChanged`, when
        something else has found the log changed."""
        self._database.require_unchanged()
        if not self.has_reached(place):
            self._checked = place

    async def _require(self, relied: Mapping[int, str | None], found: _Found) -> None:
        if self._lost(relied, found) is None:
            self._looked_at = time.monotonic()
            return
        await self._fence.passed()
        lost = self._lost(relied, await self._find(list(relied), "majority"))
        if lost is not None:
            raise self._database.log_changed(lost)

    async def _check_indexes(self) -> None:
        now = time.monotonic()
        if now - self._indexes_at < LOOK_SECONDS:
            return
        if await self._missing_indexes():
            await self._fence.passed()
            if missing := await self._missing_indexes():
                names = ", ".join(", ".join(index.keys) for index in missing)
                raise self._database.log_changed(
                    f"its collection 'commits' has lost the unique index on {names}, which `postlog init` makes"
                )
        self._indexes_at = now

    async def _missing_indexes(self) -> list[Index]:
        return await self._database.answer(lambda _: missing_indexes(self._database, ["commits"]))

    def _lost(self, relied: Mapping[int, str | None], found: _Found) -> str | None:
        """What is missing, in words."""
        for position in sorted(relied):
            commit_id = found.get(position)
            if position not in found:
                return f"it has no commit at position {position}, on which this process builds"
            if not isinstance(commit_id, str):
                return f"its document at position {position} is no commit of Postlog"
            if relied[position] not in (None, commit_id):
                return f"it has another commit at position {position} than before"
        return None

    async def _find(self, positions: list[int], level: Literal["local", "majority"]) -> _Found:
        """Commit ids by position. The highest position is read first: what is found at a lower one was there when the
        highest one was. A local read shows an insert before the majority has it; nothing is concluded from it alone."""
        wanted = {
            "find": "commits",
            "filter": {"_id": {"$in": positions}},
            "projection": {"commitId": 1},
            "sort": {"_id": -1},
            "hint": {"_id": 1},
            "batchSize": len(positions) + 1,
            "singleBatch": True,
            "comment": COMMENT,
            "readConcern": {"level": level, **self._after()},
        }
        # In no session: the time of a local read may be that of a write which the majority never gets. And without a
        # limit of its own: this is done for each write, and the driver has one for an answer.
        try:
            answer = await self._database.uncancelled(self._database.database.command(wanted))
        except Exception as error:
            if not is_driver_error(error):
                raise
            raise self._database.unavailable(error) from error
        return {document["_id"]: document.get("commitId") for document in answer["cursor"]["firstBatch"]}

    def _after(self) -> dict[str, Any]:
        """So that a primary that has not caught up with what this process has seen waits, and shows no gap."""
        seen = self._database.seen_time
        return {} if seen is None else {"afterClusterTime": seen}
