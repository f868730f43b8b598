"""Follows the bus from the checkpoints as they stand when the session begins, until anything goes wrong; then the next
session begins at the checkpoints again, with every partition."""

import logging
from collections.abc import Collection, Mapping

from application.errors import BusUnavailable
from application.pipeline.assembling import PartitionReader
from application.pipeline.following import TopicChanged
from application.pipeline.intake import Intake
from application.pipeline.projector import Projector
from application.pipeline.rows_watch import RowsWatch
from application.ports.bus import Subscription, Topic
from application.ports.commit_log import CommitLog
from application.ports.read_db import Checkpoint, CheckpointMoved, LiveGeneration
from application.ports.system import Metrics

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0


class BusSession:
    def __init__(
        self,
        *,
        live: LiveGeneration,
        topic: Topic,
        log_id: str,
        projector: Projector,
        log: CommitLog,
        subscription: Subscription,
        intake: Intake,
        watch: RowsWatch,
        metrics: Metrics,
        batch_size: int,
    ) -> None:
        self._live = live
        self._topic = topic
        self._log_id = log_id
        self._projector = projector
        self._log = log
        self._subscription = subscription
        self._intake = intake
        self._watch = watch
        self._metrics = metrics
        self._batch_size = batch_size
        self._owned: dict[int, int] = {}

    async def turn(self) -> None:
        """Receive and apply once. Raises `CheckpointMoved`, `TopicChanged`, `Unavailable`, `WrongLog`."""
        timeout = 0.0 if self._intake.reads_log else min(_IDLE_SECONDS, self._watch.due_in())
        delivery = await self._subscription.receive(self._batch_size, timeout)
        begun = await self._own(delivery.owned)
        await self._go_on_without([each for each in delivery.lost if each in self._owned and each not in begun])
        await self._intake.take([message for message in delivery.messages if message.partition not in begun])
        await self._intake.read_log()
        if not self._intake.reads_log and await self._watch.look(self._intake.stored):
            await self._require_same_topic()

    async def _own(self, owned: Mapping[int, int]) -> Collection[int]:
        """Which partitions begin anew; what was delivered of them is from before that."""
        for partition in [p for p, number in self._owned.items() if owned.get(p) != number]:
            del self._owned[partition]
            self._intake.drop(partition)
        new = owned.keys() - self._owned.keys()
        if new:
            checkpoints = await self._checkpoints(owned)
            logger.info("projecting partitions %s", sorted(owned))
            self._owned = dict(owned)
            await self._begin({partition: checkpoints.get(partition) for partition in sorted(new)})
        return new

    async def _checkpoints(self, owned: Collection[int]) -> dict[int, Checkpoint]:
        """As they are now: until now another projector may have moved them."""
        await self._require_same_topic()
        if max(owned) >= self._topic.partitions:
            raise BusUnavailable("The topic's partitions are being added to.", path="bus.kafka.partitions")
        live, checkpoints = await self._projector.open(self._topic.partitions)
        if live.generation != self._live.generation:
            raise CheckpointMoved
        return checkpoints

    async def _begin(self, checkpoints: Mapping[int, Checkpoint | None]) -> None:
        known: dict[int, int] = {}
        for partition, checkpoint in checkpoints.items():
            reader = PartitionReader(partition, self._topic.partitions, self._log_id, self._topic.id, checkpoint)
            self._intake.begin(reader, checkpoint)
            if reader.offset is not None:
                known[partition] = reader.offset
            elif checkpoint is not None and checkpoint.topic_id is not None:
                self._note_reset(partition, "the topic was deleted and made anew", "topic")
        await self._subscription.start(known)
        await self._take_over(checkpoints.keys() - known.keys())

    async def _go_on_without(self, lost: Collection[int]) -> None:
        if lost:
            await self._require_same_topic()
            for partition in lost:
                self._note_reset(partition, "the topic does not have the next message any more", "offset")
            await self._take_over(lost)

    async def _take_over(self, partitions: Collection[int]) -> None:
        """Go on from the log up to its tip, then from the bus. The end of the bus is asked for first, so what the log
        got after the tip was asked for comes by the bus."""
        if partitions:
            ends = await self._subscription.ends(partitions)
            tip = await self._log.tip()
            for partition in partitions:
                self._intake.go_on_from_log(partition, tip, ends[partition])

    async def _require_same_topic(self) -> None:
        if await self._subscription.topic() != self._topic:
            raise TopicChanged

    def _note_reset(self, partition: int, reason: str, label: str) -> None:
        position = self._intake.position(partition)
        logger.warning("partition %d: %s; going on from the log behind position %d", partition, reason, position)
        self._metrics.count("projector_bus_resets", reason=label)
