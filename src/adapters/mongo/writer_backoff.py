"""Backoff between writers, so that each of them gets commits into the log.

A near writer takes position after position while a far one's attempt is on its way; and of two that are equally near,
the one that has just succeeded knows the tip and is first again. So a writer that lost three times in a row stores a
claim: how long an attempt takes it. While claims of other writers are valid,

- writers at least twice as fast as the slowest one skip every other time slice. A slice is long enough for an attempt
  of the slowest that begins in it, and is cut by the server's clock, so that all of them skip the same slices;
- other writers pause after each write that succeeded, for as long as an attempt of writers like them takes.
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

LOSSES_BEFORE_CLAIM = 3
CLAIM_SECONDS = 2.0
REFRESH_SECONDS = 0.05
LONGEST_SLICE = 0.25
"""Seconds; no writer waits longer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """Of a writer whose attempt takes `attempt` seconds; valid until `until` (monotonic)."""

    attempt: float
    until: float


@dataclass(frozen=True, slots=True)
class Claims:
    """Of other writers. The server's clock is ahead of this process's monotonic one by `clock_ahead` seconds."""

    claims: Sequence[Claim] = ()
    clock_ahead: float = 0.0

    def seconds_to_wait(self, own_attempt: float, succeeded_at: float | None, now: float) -> float:
        """For a writer that stored a claim with `own_attempt` itself (0: it stored none). `succeeded_at` is when its
        last attempt succeeded, None when that was lost; times are monotonic."""
        attempts = [claim.attempt for claim in self.claims if now < claim.until]
        slower = [attempt for attempt in attempts if attempt > 2 * own_attempt]
        peers = [attempt for attempt in attempts if own_attempt / 2 <= attempt <= 2 * own_attempt]
        skipped = self._rest_of_slice(max(slower), now) if slower else 0.0
        pause = succeeded_at + min(max(peers), LONGEST_SLICE) - now if peers and succeeded_at is not None else 0.0
        return max(skipped, pause, 0.0)

    def _rest_of_slice(self, attempt: float, now: float) -> float:
        """0 in the slices that all writers may use."""
        length = min(2 * attempt, LONGEST_SLICE)
        number, into = divmod(now + self.clock_ahead, length)
        return length - into if number % 2 else 0.0


class WriterBackoff:
    """Of one writer. Only fairness depends on claims, so they are not stored with the majority's acknowledgement."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._others = Claims()
        self._refreshed_at = 0.0
        self._losses = 0
        self._succeeded_at: float | None = None
        self._own = Claim(attempt=0.0, until=0.0)

    async def wait_for_turn(self) -> bool:
        """Returns when this writer may try: whether it waited, so that others have probably written since. Claims are
        read beside the write that follows."""
        now = time.monotonic()
        if now - self._refreshed_at >= REFRESH_SECONDS:
            self._refreshed_at = now
            self._database.run_in_background(self._refresh(), "read claims of other writers", on_client=True)
        own_attempt = self._own.attempt if now < self._own.until else 0.0
        seconds = self._others.seconds_to_wait(own_attempt, self._succeeded_at, now)
        if seconds:
            await asyncio.sleep(seconds)
        return seconds > 0

    def succeeded(self) -> None:
        self._losses = 0
        self._succeeded_at = time.monotonic()

    async def lost(self, seconds: float) -> None:
        """Another writer was first, after an attempt that took `seconds` from reading the tip to the reply."""
        self._losses += 1
        self._succeeded_at = None
        now = time.monotonic()
        if self._losses >= LOSSES_BEFORE_CLAIM and now > self._own.until - CLAIM_SECONDS / 2:
            self._own = Claim(attempt=seconds, until=now + CLAIM_SECONDS)
            await self._store_claim(seconds)

    async def _store_claim(self, attempt: float) -> None:
        until = {"$add": ["$$NOW", int(CLAIM_SECONDS * 1_000)]}
        claim = [{"$set": {"need": attempt, "until": until}}]
        await self._database.shield(self._claims.update_one({"_id": self._name}, claim, upsert=True))

    async def _refresh(self) -> None:
        valid = {"_id": {"$ne": self._name}, "$expr": {"$gt": ["$until", "$$NOW"]}}
        try:
            asked = time.monotonic()
            found = await self._claims.find(valid, {"need": 1, "until": 1, "now": "$$NOW"}).to_list()
            middle = (asked + time.monotonic()) / 2
        except PyMongoError as error:
            _log.debug("Could not read the claims of other writers: %s", error)
            return
        self._others = Claims(
            claims=[Claim(claim["need"], middle + (claim["until"] - claim["now"]).total_seconds()) for claim in found],
            clock_ahead=found[0]["now"].timestamp() - middle if found else 0.0,
        )

    @property
    def _claims(self) -> Collection:
        return self._database.writers.with_options(read_concern=ReadConcern("local"), write_concern=WriteConcern(1))
