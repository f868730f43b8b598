"""A projector that follows the bus: one checkpoint a partition, and the log for what the bus does not bring.

It runs until it is told to stop. A server that is away is asked again with growing pauses; a database that belongs to
another log ends it, because no retry can mend that.
"""

import asyncio
import logging

from application.errors import Unavailable
from application.pipeline.backoff import Backoff
from application.pipeline.bus_session import BusSession, TopicChanged
from application.pipeline.bus_trust import BusTrust
from application.pipeline.intake import Intake
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.pipeline.rows_watch import RowsWatch
from application.ports.bus import Subscription
from application.ports.commit_log import CommitLog
from application.ports.metrics import Metrics
from application.ports.projection_store import CheckpointMoved

logger = logging.getLogger(__name__)


class BusFollower:
    """`batch_size` is how many messages, or commits from the log, one transaction takes at most."""

    def __init__(
        self,
        *,
        projector: Projector,
        parked: ParkedRetry,
        log: CommitLog,
        subscription: Subscription,
        metrics: Metrics,
        batch_size: int,
    ) -> None:
        self._projector = projector
        self._parked = parked
        self._log = log
        self._subscription = subscription
        self._metrics = metrics
        self._batch_size = batch_size

    async def run(self) -> None:
        """Until cancelled. Raises `WrongLog`."""
        backoff = Backoff()
        while True:
            try:
                await self._follow(backoff)
            except CheckpointMoved:
                logger.info("another projector or a swap moved a checkpoint; going on from the checkpoints")
            except TopicChanged:
                logger.warning("the topic was made anew or divided anew; going on from the checkpoints")
                self._metrics.count("projector_interruptions", code="topic-changed")
            except Unavailable as error:
                pause = backoff.next()
                logger.warning("projecting stopped, again in %.1f s: %s", pause, error.message)
                self._metrics.count("projector_interruptions", code=error.code)
                await asyncio.sleep(pause)

    async def _follow(self, backoff: Backoff) -> None:
        session = await self._open()
        await self._parked.retry_all()
        while True:
            await session.turn()
            backoff.reset()

    async def _open(self) -> BusSession:
        topic = await self._subscription.topic()
        live, _ = await self._projector.open(topic.partitions)
        intake = Intake(
            generation=live.generation,
            partitions=topic.partitions,
            projector=self._projector,
            log=self._log,
            subscription=self._subscription,
            trust=BusTrust(self._projector, self._log, topic.partitions),
            metrics=self._metrics,
            batch_size=self._batch_size,
        )
        return BusSession(
            live=live,
            topic=topic,
            log_id=await self._log.log_id(),
            projector=self._projector,
            log=self._log,
            subscription=self._subscription,
            intake=intake,
            watch=RowsWatch(self._projector, live, await self._log.tip()),
            metrics=self._metrics,
            batch_size=self._batch_size,
        )
