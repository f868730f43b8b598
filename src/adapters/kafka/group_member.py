"""A consumer as one member of its group. Synchronous: everything happens in the thread that polls.

The group only says which partitions are ours. The client is told to fetch one when it is started, from the offset that
is named then; until that it is ours by the group's word and nothing of it is fetched.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from adapters.wire.cloudevents import from_message
from application.ports.bus import BusMessage, Delivery

SETTINGS: dict[str, Any] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "heartbeat.interval.ms": 1_000,
    "auto.offset.reset": "error",
    "enable.auto.commit": True,  # of what `tell` is told, and of nothing else
    "enable.auto.offset.store": False,
    "auto.commit.interval.ms": 1_000,
    "fetch.wait.max.ms": 100,  # a fetch that waits holds up the partitions that are started meanwhile
    "fetch.queue.backoff.ms": 10,
    "fetch.error.backoff.ms": 100,
    "queued.max.messages.kbytes": 16_384,
    "topic.metadata.refresh.interval.ms": 30_000,
}

_SLICE_SECONDS = 0.1
"""A poll neither ends early when partitions come or go, nor can it be interrupted."""

_PASSING = (KafkaError._MAX_POLL_EXCEEDED, KafkaError._PARTITION_EOF)  # noqa: SLF001 - the client's own codes


class GroupMember:
    """`consumer` is made with `SETTINGS`. `closing` tells that nobody waits for messages any more."""

    def __init__(self, consumer: Consumer, topic: str, closing: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._closing = closing
        self._numbers = count(1)
        self._owned: dict[int, int] = {}
        self._started: dict[int, int] = {}
        self._changes = 0

    def join(self) -> None:
        self._consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def leave(self) -> None:
        """May never return when the brokers hang."""
        self._consumer.close()

    def receive(self, limit: int, timeout: float) -> Delivery:
        """Raises `KafkaException`."""
        changes = self._changes
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            received = self._poll(limit, max(0.0, min(left, _SLICE_SECONDS)))
            if received or left <= _SLICE_SECONDS or changes != self._changes or self._closing():
                break
        lost = [self._lost(message) for message in received if message.error() is not None]
        messages = [self._parse(message) for message in received if message.error() is None]
        return Delivery(
            dict(self._owned),
            [partition for partition in lost if partition is not None],
            [message for message in messages if message is not None],
        )

    def start(self, offsets: Mapping[int, int]) -> None:
        """Raises `KafkaException`."""
        mine = {partition: offset for partition, offset in offsets.items() if partition in self._owned}
        self.hold(mine)
        if mine:
            self._consumer.incremental_assign([TopicPartition(self._topic, p, offset) for p, offset in mine.items()])
            self._started |= mine

    def hold(self, partitions: Iterable[int]) -> None:
        """Raises `KafkaException`."""
        started = [partition for partition in partitions if self._started.pop(partition, None) is not None]
        if started:
            self._consumer.incremental_unassign(self._named(started))

    def tell(self, offsets: Mapping[int, int]) -> None:
        """Raises `KafkaException`."""
        mine = [TopicPartition(self._topic, p, offset) for p, offset in offsets.items() if p in self._started]
        if mine:
            self._consumer.store_offsets(offsets=mine)

    def _poll(self, limit: int, timeout: float) -> list[Message]:
        """`consume` waits until it has as many as wanted; so wait for one, and take what else is there."""
        first = self._consumer.poll(timeout)
        if first is None:
            return []
        return [first, *self._consumer.consume(limit - 1, 0)] if limit > 1 else [first]

    def _lost(self, message: Message) -> int | None:
        """The partition whose offset is gone. Raises `KafkaException` for an error of another kind."""
        error, partition = message.error(), message.partition()
        if error is None or error.code() in _PASSING:
            return None
        if error.code() != KafkaError._AUTO_OFFSET_RESET or partition is None:  # noqa: SLF001 - the client's own code
            raise KafkaException(error)
        if partition not in self._started:
            return None
        self.hold([partition])
        return partition

    def _parse(self, message: Message) -> BusMessage | None:
        """None for what was on its way when its partition was held, or started elsewhere."""
        partition, offset, headers = message.partition(), message.offset(), message.headers()
        if partition is None or offset is None or partition not in self._started or offset < self._started[partition]:
            return None
        listed = list(headers.items()) if isinstance(headers, dict) else headers
        return from_message(partition, offset, message.key(), message.value(), listed)

    def _assigned(self, consumer: Consumer, partitions: Collection[TopicPartition]) -> None:
        self._changes += 1
        self._owned |= {each.partition: next(self._numbers) for each in partitions}
        consumer.incremental_assign([])

    def _revoked(self, consumer: Consumer, partitions: Collection[TopicPartition]) -> None:
        self._changes += 1
        for each in partitions:
            self._owned.pop(each.partition, None)
        gone = [each.partition for each in partitions if self._started.pop(each.partition, None) is not None]
        consumer.incremental_unassign(self._named(gone))

    def _named(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]
