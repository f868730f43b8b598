"""Two proofs that reads give: nothing acknowledged is missed, and the log still holds what a write builds on.

**`ReadFence`.** A primary that was deposed and has not noticed, or a new one that does not yet know how much of its log
the majority has, answers a majority read with an older state. So before a tail is believed, a small write is
majority-committed: only a true primary can do that, and every commit acknowledged before precedes that write in its
log. A read that waits for the write's time sees them all. (The server's own linearizable reads do the same, but wait
for its periodic journal flush: 100 ms on a set of one node, measured, against 2 ms.)

**`LogGuard`.** A restore, a drop or an edit by hand removes commits underneath a running process, and what it writes
then stays behind a gap for good. So nothing is acknowledged before one read, later than the insert, has shown the new
commit and everything that it depends on: the commits between the last one that this process has checked and its base,
the last commit of each stream that it continues, and a few earlier positions at growing distances (`LADDER`). That read
runs beside the insert, while the server waits for journal and majority, on another connection; see
docs/log-on-mongodb.md.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from adapters.mongo.database import MongoDatabase
from adapters.mongo.schema import Index, missing_indexes
from adapters.mongo.tip import START, CommitRef

MAX_POSITIONS_CHECKED = 1_000
"""Below a base. A write that was not acknowledged leaves its gap directly below itself, and has at most this many
commits."""

LADDER = tuple(4**step for step in range(11))
"""Distances below the last checked commit at which a write expects a commit too. Documents that are deleted one by one
while commits are written can leave the newest ones in the log, and so all that a write is built on directly: a gap is
found when it is at least three times as long as what is left above it."""

RECHECK_SECONDS = 0.05
"""A write that begins this long after the last check of the indexes checks them again: a collection that was dropped is
refused by its UUID, so this is for `dropIndexes` alone. A read that begins this long after the last check of the log
repeats that check: a refusal must not rest on a log that was restored."""

COMMENT = "postlog guard"
"""Shown by the server's profiler for these reads."""

_TURNS = 3
"""Of the event loop, after which the driver has sent the insert. A read that is prepared together with it delays it,
arrives with it and finds nothing; the next one costs as much processor time as the insert."""

_LARGE_GROUP = 16
_PAUSE = 0.001
"""Seconds before each read beside a large group, whose insert takes a while. The first or second read finds a small
one, unless the server is busy, and then it needs its processor for other things than more reads."""

_Found = dict[int, Any]


class ReadFence:
    """Callers that arrive while one write is under way share the next."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._under_way: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def establish(self) -> None:
        """Returns when a write that began after this call is majority-committed; sessions of the database that begin
        afterwards read no older state. Raises `StoreUnavailable`."""
        if self._next is None:
            self._next = self._database.run_in_background(self._write_after(self._under_way), "read fence")
        await asyncio.shield(self._next)

    async def _write_after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._under_way, self._next = self._next, None
        passed = {"$inc": {"passed": 1}}
        await self._database.execute(
            lambda session: self._database.writers.update_one({"_id": "barrier"}, passed, upsert=True, session=session)
        )


class LogGuard:
    """Guards one process's writes. What it misses is read again behind a read fence, so that a primary that lags raises
    no false alarm; after that every call of the event store is refused (`MongoDatabase.require_unchanged`)."""

    def __init__(self, database: MongoDatabase, fence: ReadFence) -> None:
        self._database = database
        self._fence = fence
        self._checked: CommitRef | None = None
        self._indexes_checked_at = float("-inf")
        self._log_checked_at = float("-inf")

    @property
    def has_checked(self) -> bool:
        """False before the first write, which is checked before it is sent, not beside its insert."""
        return self._checked is not None

    def is_checked_to(self, commit: CommitRef) -> bool:
        """Whether a check has shown the log whole up to `commit`."""
        return self._checked is not None and commit.position <= self._checked.position

    def dependencies(self, base: CommitRef, stream_tails: Iterable[CommitRef] = ()) -> dict[int, str | None]:
        """By position, the commits that must be in the log for a write behind `base` that continues streams with these
        last commits."""
        checked = self._checked or START
        lowest = max(checked.position, base.position - MAX_POSITIONS_CHECKED + 1, 1)
        required: dict[int, str | None] = dict.fromkeys(range(lowest, base.position + 1))
        required.update(
            dict.fromkeys(checked.position - distance for distance in LADDER if distance < checked.position)
        )
        for commit in (checked, base, *stream_tails):
            if commit.position and (commit.commit_id is not None or commit.position not in required):
                required[commit.position] = commit.commit_id
        return required

    async def require_whole_to(self, commit: CommitRef) -> None:
        """Returns when the log is known to be whole from the last check to `commit`. Raises `LogChanged`,
        `StoreUnavailable`."""
        if not self.is_checked_to(commit):
            await self.require_present(self.dependencies(commit), commit)

    def was_checked_recently(self) -> bool:
        """True while writes are checked, and before the first check."""
        return self._checked is None or time.monotonic() - self._log_checked_at < RECHECK_SECONDS

    async def recheck(self, positions: int = 1) -> None:
        """Raises `LogChanged` when any of this many newest checked commits is gone, `StoreUnavailable`."""
        if self._checked is not None:
            last = self._checked.position
            required: dict[int, str | None] = dict.fromkeys(range(max(last - positions + 1, 1), last + 1))
            required.update([self._checked] if last else [])
            await self.require_present(required, self._checked)

    async def check_beside(
        self, inserting: "asyncio.Future[Any]", required: Mapping[int, str | None], own: CommitRef
    ) -> bool:
        """Whether one read has shown `own`, the last commit of the insert under way, together with all that it depends
        on. Ends with the insert. Raises as `require_whole_to`."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        look = self._look(inserting, required, own)
        if self._were_indexes_checked_recently():
            return await look
        _, is_shown = await asyncio.gather(self._check_indexes(), look)
        return is_shown

    async def _look(self, inserting: "asyncio.Future[Any]", required: Mapping[int, str | None], own: CommitRef) -> bool:
        without_pause = 0 if own.position - max(required, default=0) > _LARGE_GROUP else 2
        while not inserting.done():
            if without_pause:
                without_pause -= 1
            elif (await asyncio.wait((inserting,), timeout=_PAUSE))[0]:
                break
            found = await self._find([own.position, *required], "local")
            await self._require_found(required, found)
            if found.get(own.position) == own.commit_id:
                return True
        return False

    async def require_present(self, required: Mapping[int, str | None], upto: CommitRef) -> None:
        """Raises as `require_whole_to` unless all of it is in the log; `upto` is its newest commit."""
        if required:
            await self._require_found(required, await self._find(list(required), "local"))
        self.mark_checked(upto)

    def mark_checked(self, commit: CommitRef) -> None:
        """A read has shown this majority-committed commit with all that it depends on. Raises `LogChanged` when another
        task has found the log changed."""
        self._database.require_unchanged()
        if not self.is_checked_to(commit):
            self._checked = commit

    async def _require_found(self, required: Mapping[int, str | None], found: _Found) -> None:
        if self._missing(required, found) is None:
            self._log_checked_at = time.monotonic()
            return
        await self._fence.establish()
        missing = self._missing(required, await self._find(list(required), "majority"))
        if missing is not None:
            raise self._database.log_changed(missing)

    def _were_indexes_checked_recently(self) -> bool:
        return time.monotonic() - self._indexes_checked_at < RECHECK_SECONDS

    async def _check_indexes(self) -> None:
        began = time.monotonic()
        if await self._missing_indexes():
            await self._fence.establish()
            if missing := await self._missing_indexes():
                names = ", ".join(", ".join(index.keys) for index in missing)
                raise self._database.log_changed(
                    f"its collection 'commits' has lost the unique index on {names}, which `postlog init` creates"
                )
        self._indexes_checked_at = began

    async def _missing_indexes(self) -> list[Index]:
        return await self._database.execute(lambda _: missing_indexes(self._database, ["commits"]))

    def _missing(self, required: Mapping[int, str | None], found: _Found) -> str | None:
        """A clause about the lowest position that is not as required."""
        for position in sorted(required):
            commit_id = found.get(position)
            if position not in found:
                return f"it has no commit at position {position}, on which this process builds"
            if not isinstance(commit_id, str):
                return f"its document at position {position} is not a commit of Postlog"
            if required[position] not in (None, commit_id):
                return f"it has another commit at position {position} than before"
        return None

    async def _find(self, positions: list[int], level: Literal["local", "majority"]) -> _Found:
        """Commit ids by position. The highest position is read first: what is found at a lower one was there when the
        highest one was. A local read shows an insert before the majority has it; no decision relies on it alone."""
        wanted = {
            "find": "commits",
            "filter": {"_id": {"$in": positions}},
            "projection": {"commitId": 1},
            "sort": {"_id": -1},
            "hint": {"_id": 1},
            "batchSize": len(positions) + 1,
            "singleBatch": True,
            "comment": COMMENT,
            "readConcern": {"level": level, **self._after_cluster_time()},
        }
        # In no session: the time of a local read may be that of a write which the majority never gets. And without a
        # time limit of its own: each write needs this read, and the driver limits how long it waits for a reply.
        with self._database.translated_errors():
            reply = await self._database.shield(self._database.database.command(wanted))
        return {document["_id"]: document.get("commitId") for document in reply["cursor"]["firstBatch"]}

    def _after_cluster_time(self) -> dict[str, Any]:
        """Makes a primary that has not caught up with what this process has read wait, instead of showing a gap."""
        seen = self._database.operation_time
        return {} if seen is None else {"afterClusterTime": seen}
