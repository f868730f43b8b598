"""Consumes a Kafka topic as a member of a consumer group; the blocking client has a thread of its own.

The group only decides which partitions are assigned to this process. The client fetches one only once it is started,
from the offset that is given then.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count
from typing import Any, Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from adapters.kafka.client import ClientLog, KafkaConnection, make_last_call
from adapters.kafka.errors import is_fatal
from adapters.kafka.topic import TopicAdmin, end_offsets, find_topic
from adapters.threads import DaemonThreadPool
from adapters.wire.cloudevents import from_message
from application.ports.bus import BusMessage, Delivery, Topic
from application.ports.system import Metrics

_CONSUMER_SETTINGS: dict[str, Any] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "heartbeat.interval.ms": 1_000,
    "auto.offset.reset": "error",
    "enable.auto.commit": True,  # of what `commit_offsets` is given, and of nothing else
    "enable.auto.offset.store": False,
    "auto.commit.interval.ms": 1_000,
    "fetch.wait.max.ms": 100,  # a fetch that waits delays the partitions that are started meanwhile
    "fetch.queue.backoff.ms": 10,
    "fetch.error.backoff.ms": 100,
    "queued.max.messages.kbytes": 16_384,
    "topic.metadata.refresh.interval.ms": 30_000,
}

_SLICE_SECONDS = 0.1
"""A poll can't be interrupted, and does not return early when partitions are assigned or revoked."""

_GATHER_WATERMARKS_SECONDS = 0.005
"""What was published together for several partitions comes in several replies of the brokers, and each would be a
transaction of its own for the projector. An event is delivered at once, since queries for its post wait for it; the
watermarks of the other partitions, for which only lists wait, come together."""

_PASSING = (KafkaError._MAX_POLL_EXCEEDED, KafkaError._PARTITION_EOF)  # noqa: SLF001 - the client's own codes


class GroupConsumer:
    """One member of its group, synchronous: everything happens in the thread that polls. `consumer` has
    `_CONSUMER_SETTINGS`. `closing` returns True once messages are not needed any more."""

    def __init__(self, consumer: Consumer, topic: str, closing: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._closing = closing
        self._numbers = count(1)
        self._assigned: dict[int, int] = {}
        self._started: dict[int, int] = {}
        self._seen: set[int | None] = set()
        """The partitions of the last delivery with an event: their watermarks need not be waited for."""
        self._changes = 0

    def join(self) -> None:
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
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
        out_of_range = [self._out_of_range(message) for message in received if message.error() is not None]
        messages = [self._parse(message) for message in received if message.error() is None]
        return Delivery(
            dict(self._assigned),
            [partition for partition in out_of_range if partition is not None],
            [message for message in messages if message is not None],
        )

    def start(self, offsets: Mapping[int, int]) -> None:
        """Raises `KafkaException`."""
        mine = {partition: offset for partition, offset in offsets.items() if partition in self._assigned}
        self.pause(mine)
        if mine:
            self._consumer.incremental_assign([TopicPartition(self._topic, p, offset) for p, offset in mine.items()])
            self._started |= mine

    def pause(self, partitions: Iterable[int]) -> None:
        """Raises `KafkaException`."""
        started = [partition for partition in partitions if self._started.pop(partition, None) is not None]
        if started:
            self._consumer.incremental_unassign(self._named(started))

    def commit_offsets(self, offsets: Mapping[int, int]) -> None:
        """Raises `KafkaException`."""
        mine = [TopicPartition(self._topic, p, offset) for p, offset in offsets.items() if p in self._started]
        if mine:
            self._consumer.store_offsets(offsets=mine)

    def _poll(self, limit: int, timeout: float) -> list[Message]:
        """`consume` waits until it has as many as wanted; so wait for one, and take what else has arrived. While there
        are only watermarks, wait a moment longer for those of every partition that had no event just before."""
        first = self._consumer.poll(timeout)
        if first is None:
            return []
        received, seen = [first], {first.partition(), *self._seen}
        begun = time.monotonic()
        while len(received) < limit:
            more = self._consumer.consume(limit - len(received), 0)
            left = begun + _GATHER_WATERMARKS_SECONDS - time.monotonic()
            if not more and not self._started.keys() <= seen and left > 0 and not _has_event(received):
                awaited = self._consumer.poll(left)
                more = [awaited] if awaited is not None else []
            if not more:
                break
            received += more
            seen.update(message.partition() for message in more)
        self._seen = {each.partition() for each in received} if _has_event(received) else set()
        return received

    def _out_of_range(self, message: Message) -> int | None:
        """The partition whose offset is gone. Raises `KafkaException` for an error of another kind."""
        error, partition = message.error(), message.partition()
        if error is None or error.code() in _PASSING:
            return None
        if error.code() != KafkaError._AUTO_OFFSET_RESET or partition is None:  # noqa: SLF001 - the client's own code
            raise KafkaException(error)
        if partition not in self._started:
            return None
        self.pause([partition])
        return partition

    def _parse(self, message: Message) -> BusMessage | None:
        """None for a message that was in flight when its partition was paused, or started at another offset."""
        partition, offset, headers = message.partition(), message.offset(), message.headers()
        if partition is None or offset is None or partition not in self._started or offset < self._started[partition]:
            return None
        listed = list(headers.items()) if isinstance(headers, dict) else headers
        return from_message(partition, offset, message.key(), message.value(), listed)

    def _on_assign(self, consumer: Consumer, partitions: Collection[TopicPartition]) -> None:
        self._changes += 1
        self._assigned |= {each.partition: next(self._numbers) for each in partitions}
        consumer.incremental_assign([])

    def _on_revoke(self, consumer: Consumer, partitions: Collection[TopicPartition]) -> None:
        self._changes += 1
        for each in partitions:
            self._assigned.pop(each.partition, None)
        gone = [each.partition for each in partitions if self._started.pop(each.partition, None) is not None]
        consumer.incremental_unassign(self._named(gone))

    def _named(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]


def _has_event(messages: Iterable[Message]) -> bool:
    return any(each.key() for each in messages)


T = TypeVar("T")

logger = logging.getLogger(__name__)

_LEAVE_SECONDS = 0.7


class KafkaSubscription:
    """A member of the group that it joined, while it is open; neither opening nor joining needs a broker. After
    `session_seconds` without a heartbeat its partitions are assigned to others; brokers allow 6 or more by default.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        group_prefix: str,
        metrics: Metrics,
        session_seconds: float = 6.0,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._group_prefix = group_prefix
        self._session_seconds = session_seconds
        self._log = ClientLog("consumer", connection.bootstrap_servers, metrics)
        self._thread = DaemonThreadPool("kafka-consumer", 1)
        self._offsets: dict[int, int] = {}
        self._closing = False
        self._opened: AdminClient | None = None
        self._joined: GroupConsumer | None = None
        self.group_id = ""
        """The one that it has joined; empty before."""

    async def __aenter__(self) -> Self:
        try:
            self._opened = TopicAdmin(self._connection)
        except KafkaException as error:
            raise self._connection.refused(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        await make_last_call(self._thread, self._leave, _LEAVE_SECONDS)

    async def join(self, database_id: str) -> None:
        group_id = f"{self._group_prefix}-{database_id}"
        if group_id == self.group_id:
            return
        left, self._joined, self.group_id = self._joined, None, ""
        if left is not None:
            _leave_in_background(left)
        self._joined = await self._call(lambda: self._new_member(group_id))
        self.group_id = group_id
        logger.info("consuming the topic %s in the group %s", self._topic, group_id)

    async def topic(self) -> Topic:
        found = await self._call(lambda: find_topic(self._admin, self._topic))
        return Topic(found.id, found.partitions)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return await self._call(lambda: end_offsets(self._admin, self._topic, partitions))

    async def receive(self, limit: int, timeout: float) -> Delivery:
        def receive() -> Delivery:
            self._store_offsets()
            return self._member.receive(limit, timeout)

        return await self._call(receive)

    async def start(self, offsets: Mapping[int, int]) -> None:
        await self._call(lambda: self._member.start(offsets))

    async def pause(self, partitions: Collection[int]) -> None:
        await self._call(lambda: self._member.pause(partitions))

    def commit_offsets(self, offsets: Mapping[int, int]) -> None:
        self._offsets = {**self._offsets, **offsets}

    @property
    def _member(self) -> GroupConsumer:
        if self._joined is None:
            raise RuntimeError("the subscription has joined no group")
        return self._joined

    @property
    def _admin(self) -> AdminClient:
        if self._opened is None:
            raise RuntimeError("the subscription is not open")
        return self._opened

    def _new_member(self, group_id: str) -> GroupConsumer:
        consumer = Consumer(self._settings(group_id), logger=self._log)
        member = GroupConsumer(consumer, self._topic, lambda: self._closing)
        member.join()
        return member

    def _store_offsets(self) -> None:
        offsets, self._offsets = self._offsets, {}
        self._member.commit_offsets(offsets)

    def _leave(self) -> None:
        if self._joined is not None:
            self._store_offsets()
            self._joined.leave()

    def _replace_member(self) -> None:
        """A consumer can't be used after a fatal error."""
        if self._joined is not None:
            _leave_in_background(self._joined)
            self._joined = self._new_member(self.group_id)

    async def _call(self, call: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return call()
            except KafkaException as error:
                if is_fatal(error.args[0]):
                    self._replace_member()
                raise

        try:
            return await self._thread.run(guarded)
        except KafkaException as error:
            raise self._connection.unavailable(error, self._topic, self._log.trouble) from error

    def _settings(self, group_id: str) -> dict[str, object]:
        return {
            **self._connection.settings(),
            **_CONSUMER_SETTINGS,
            "group.id": group_id,
            "session.timeout.ms": int(self._session_seconds * 1_000),
            "error_cb": self._log.error,
        }


def _leave_in_background(member: GroupConsumer) -> None:
    """In a thread of its own, since it may never return when the brokers hang."""
    threading.Thread(target=member.leave, name="kafka-consumer-that-left", daemon=True).start()
