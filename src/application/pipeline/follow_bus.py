"""A projector that follows the bus: one checkpoint a partition, and the log for what the bus does not bring."""

from typing import Never

from application.backoff import Backoff
from application.pipeline.bus_session import BusSession
from application.pipeline.bus_trust import BusTrust
from application.pipeline.following import follow
from application.pipeline.intake import Intake
from application.pipeline.parking import ParkedRetry
from application.pipeline.projector import Projector
from application.pipeline.rows_watch import RowsWatch
from application.ports.bus import Subscription
from application.ports.commit_log import CommitLog
from application.ports.system import Metrics


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
        await follow(self._session, self._metrics)

    async def _session(self, backoff: Backoff) -> Never:
        session = await self._open()
        await self._parked.retry_at_start()
        while True:
            await session.turn()
            backoff.reset()

    async def _open(self) -> BusSession:
        await self._subscription.join(await self._projector.database_id())
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
