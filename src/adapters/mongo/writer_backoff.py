"""Turns for writers that do not get through.

A near writer takes position after position while a far one's attempt is on its way; and of two that are equally near,
the one that has just won knows the tip and is first again. So a writer that lost three times running leaves a note: how
long an attempt takes it. While notes of others stand,

- who needs less than half as long as the neediest stands aside in every other slice of time. A slice is long enough for
  an attempt of the neediest that begins in it, and is cut by the server's clock, so that all stand aside together;
- others pause after each write that they got through, as long as an attempt of their like takes.
"""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from adapters.mongo.database import Collection, MongoDatabase

LOSSES_BEFORE_A_NOTE = 3
NOTE_SECONDS = 2.0
LOOK_SECONDS = 0.05
LONGEST_SLICE = 0.25
"""Seconds; so long at most does anybody stand aside."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """Of a writer whose attempt takes `need` seconds; it stands until `until` (monotonic)."""

    need: float
    until: float


@dataclass(frozen=True, slots=True)
class Claims:
    """Those of other writers. The server's clock is ahead of this process's monotonic one by `clock_ahead` seconds."""

    notes: Sequence[Claim] = ()
    clock_ahead: float = 0.0

    def seconds_to_wait(self, own_need: float, won_at: float | None, now: float) -> float:
        """For a writer that left a note with `own_need` itself (0: it left none). `won_at` is when its last attempt
        got through, None when that was lost; times are monotonic."""
        needs = [note.need for note in self.notes if now < note.until]
        needier = [need for need in needs if need > 2 * own_need]
        peers = [need for need in needs if own_need / 2 <= need <= 2 * own_need]
        aside = self._rest_of_slice(max(needier), now) if needier else 0.0
        pause = won_at + min(max(peers), LONGEST_SLICE) - now if peers and won_at is not None else 0.0
        return max(aside, pause, 0.0)

    def _rest_of_slice(self, need: float, now: float) -> float:
        """0 in the slices that are everybody's."""
        length = min(2 * need, LONGEST_SLICE)
        number, into = divmod(now + self.clock_ahead, length)
        return length - into if number % 2 else 0.0


class WriterBackoff:
    """Those of one writer. Notes are a courtesy: only fairness depends on them, so nobody waits for the majority."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._others = Claims()
        self._looked_at = 0.0
        self._losses = 0
        self._won_at: float | None = None
        self._own = Claim(need=0.0, until=0.0)

    async def my_turn(self) -> bool:
        """Returns when this writer may try: whether it waited, so that others have probably written since. Notes are
        looked for beside the write that follows."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._database.run_beside(self._look(), "look for notes of other writers", on_client=True)
        own_need = self._own.need if now < self._own.until else 0.0
        seconds = self._others.seconds_to_wait(own_need, self._won_at, now)
        if seconds:
            await asyncio.sleep(seconds)
        return seconds > 0

    def won(self) -> None:
        self._losses = 0
        self._won_at = time.monotonic()

    async def lost(self, seconds: float) -> None:
        """Another writer was first, after an attempt that took `seconds` from reading the tip to the answer."""
        self._losses += 1
        self._won_at = None
        now = time.monotonic()
        if self._losses >= LOSSES_BEFORE_A_NOTE and now > self._own.until - NOTE_SECONDS / 2:
            self._own = Claim(need=seconds, until=now + NOTE_SECONDS)
            await self._leave_note(seconds)

    async def _leave_note(self, need: float) -> None:
        until = {"$add": ["$$NOW", int(NOTE_SECONDS * 1_000)]}
        note = [{"$set": {"need": need, "until": until}}]
        await self._database.uncancelled(self._notes.update_one({"_id": self._name}, note, upsert=True))

    async def _look(self) -> None:
        standing = {"_id": {"$ne": self._name}, "$expr": {"$gt": ["$until", "$$NOW"]}}
        try:
            asked = time.monotonic()
            found = await self._notes.find(standing, {"need": 1, "until": 1, "now": "$$NOW"}).to_list()
            middle = (asked + time.monotonic()) / 2
        except PyMongoError as error:
            _log.debug("Could not look for other writers' notes: %s", error)
            return
        self._others = Claims(
            notes=[Claim(note["need"], middle + (note["until"] - note["now"]).total_seconds()) for note in found],
            clock_ahead=found[0]["now"].timestamp() - middle if found else 0.0,
        )

    @property
    def _notes(self) -> Collection:
        return self._database.writers.with_options(read_concern=ReadConcern("local"), write_concern=WriteConcern(1))
