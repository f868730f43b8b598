"""Publishes the log to the bus: the log itself is the outbox.

One relay is active at a time, by a lease; others stand by. It reads the log by position from its checkpoint, and the
checkpoint moves only over what the bus has acknowledged. When anything fails it gives the lease back, and the next
term, its own or another relay's, begins at the checkpoint: messages may come twice, none is left out. Two relays at
once, when one was paused beyond its lease, do no harm: what a message says of the log is true whoever sends it.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

from application.backoff import Backoff, log_interruption
from application.errors import Unavailable
from application.pipeline.relay_term import LeaseLost, LogWentBack, PartitionsChanged, RelayTerm
from application.ports.bus import Publisher
from application.ports.commit_log import CommitLog
from application.ports.relay_state import Lease, RelayState
from application.ports.system import Clock, Ids, Journal, Metrics

logger = logging.getLogger(__name__)

_STANDBY_SECONDS = 1.0
_FAREWELL_SECONDS = 0.5


class Relay:
    """`batch_size` is how many commits one publication has at most; every `watermark_seconds` each partition is told
    how far the log is published, whether there was anything to publish or not.
    """

    def __init__(
        self,
        *,
        log: CommitLog,
        relay_state: RelayState,
        publisher: Publisher,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        journal: Journal,
        batch_size: int,
        lease_seconds: float,
        watermark_seconds: float,
    ) -> None:
        self._log = log
        self._relay_state = relay_state
        self._publisher = publisher
        self._clock = clock
        self._owner = ids.new()
        self._metrics = metrics
        self._journal = journal
        self._batch_size = batch_size
        self._lease_seconds = lease_seconds
        self._watermark_seconds = watermark_seconds

    async def run(self) -> None:
        """Until cancelled; then the lease is given back."""
        backoff = Backoff()
        while True:
            try:
                await self._take_a_turn(backoff)
            except LeaseLost:
                logger.warning("another relay has taken over; standing by")
            except LogWentBack:
                logger.warning("the log ends before what was published of it; beginning again")
            except PartitionsChanged:
                logger.warning("the topic has another number of partitions now; beginning again with that")
            except Exception as error:
                pause = backoff.next()
                code = log_interruption(logger, "publishing", error, pause)
                self._metrics.count("relay_interruptions", code=code)
                await asyncio.sleep(pause)

    async def _take_a_turn(self, backoff: Backoff) -> None:
        asked_at = self._clock.monotonic()
        lease = await self._relay_state.acquire(self._owner, self._lease_seconds)
        if lease is None:
            self._metrics.gauge("relay_active", 0)
            await asyncio.sleep(min(_STANDBY_SECONDS, self._lease_seconds / 4))
            return
        lease = await self._within_the_log(lease)
        logger.info("publishing from position %d on, with lease %d", lease.position, lease.token)
        term = self._term(lease, asked_at)
        self._metrics.gauge("relay_active", 1)
        try:
            await term.run()
        finally:
            if term.has_published:
                backoff.reset()
            await self._resign(lease, term)

    async def _within_the_log(self, lease: Lease) -> Lease:
        """What is in the log was published, also where it ends before the checkpoint: it was longer then."""
        tip = await self._log.proven_tip()
        if lease.position <= tip:
            return lease
        logger.warning(
            "the log was published up to position %d, but ends at %d: it was restored to an older state; publishing "
            "from its end on. If projectors refuse what the topic carries, delete the topic and run `postlog init`.",
            lease.position,
            tip,
        )
        if not await self._relay_state.set_back(lease, tip):
            raise LeaseLost
        return replace(lease, position=tip)

    def _term(self, lease: Lease, asked_at: float) -> RelayTerm:
        return RelayTerm(
            lease=lease,
            asked_at=asked_at,
            log=self._log,
            relay_state=self._relay_state,
            publisher=self._publisher,
            clock=self._clock,
            metrics=self._metrics,
            journal=self._journal,
            batch_size=self._batch_size,
            watermark_seconds=self._watermark_seconds,
        )

    async def _resign(self, lease: Lease, term: RelayTerm) -> None:
        """What can't be told to the store in time is no loss: the lease ends by itself, and messages come twice."""
        self._metrics.gauge("relay_active", 0)
        with suppress(LeaseLost, Unavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await term.store_checkpoint()
                await self._relay_state.release(lease)
