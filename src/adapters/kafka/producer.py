"""Publishes to a Kafka topic: idempotent, acknowledged by all in-sync replicas.

`AsyncProducer` is a plain `Producer` for asyncio, with headers, which the client's own asynchronous producer rejects.
One thread passes messages to librdkafka, another one takes the delivery reports; the event loop only waits.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from adapters.kafka.client import ClientLog, KafkaConnection, make_last_call
from adapters.kafka.errors import is_fatal, plain
from adapters.kafka.topic import MAX_MESSAGE_BYTES
from adapters.threads import DaemonThreadPool
from adapters.wire.cloudevents import WireMessage, to_messages
from application.ports.bus import Publication
from application.ports.system import Metrics

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_FULL_SECONDS = 0.005
_FLUSH_SECONDS = 0.3


class DeliveryFailed(Exception):
    """At least one message was not acknowledged."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(error.str())
        self.error = error


class _Deliveries:
    """Of one call. Reports come in the polling thread, perhaps before all messages were passed to the client."""

    def __init__(self) -> None:
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._loop = self.done.get_loop()
        self._reported = 0
        self._expected = -1

    def report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.fail(error)
        self._reported += 1
        if self._reported == self._expected:
            _call_in_loop(self._loop, self._succeed)

    def expect(self, count: int) -> None:
        """So many were passed to the client. Whichever of the two threads comes second completes the call."""
        self._expected = count
        if self._reported == count:
            _call_in_loop(self._loop, self._succeed)

    def fail(self, error: KafkaError) -> None:
        _call_in_loop(self._loop, self._fail, error)

    def _succeed(self) -> None:
        if not self.done.done():
            self.done.set_result(self._expected)

    def _fail(self, error: KafkaError) -> None:
        if not self.done.done():
            self.done.set_exception(DeliveryFailed(error))


def _call_in_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """From another thread; if the loop was closed meanwhile, nobody waits for the outcome."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *arguments)


class AsyncProducer:
    """`make` returns a producer. It is called again after a fatal error, since that producer sends nothing more."""

    def __init__(self, make: Callable[[], Producer], topic: str) -> None:
        self._make = make
        self._topic = topic
        self._thread = DaemonThreadPool("kafka-producer", 1)
        self._stopping = threading.Event()
        self._producer: Producer | None = None
        self._is_dead = False

    def open(self) -> None:
        """Raises `KafkaException` when the client refuses its settings."""
        self._producer = self._make()
        threading.Thread(target=self._poll, name="kafka-producer-reports", daemon=True).start()

    async def close(self) -> None:
        await make_last_call(self._thread, lambda: self._client.flush(_FLUSH_SECONDS), 2 * _FLUSH_SECONDS)
        self._stopping.set()

    async def send(self, messages: Iterable[WireMessage]) -> int:
        """Returns how many there were, once all are acknowledged. Calls are executed in their order. Raises
        `DeliveryFailed`."""
        deliveries = _Deliveries()
        await self._thread.run(lambda: self._produce_all(messages, deliveries))
        return await deliveries.done

    async def partitions(self, timeout: float) -> int:
        """0 when there is no such topic. Raises `KafkaException` when no broker answers."""
        return await self._thread.run(lambda: self._count_partitions(timeout))

    @property
    def _client(self) -> Producer:
        if self._producer is None:
            raise RuntimeError("the producer is not open")
        return self._producer

    def _count_partitions(self, timeout: float) -> int:
        self._replace_dead()
        found = self._client.list_topics(self._topic, timeout).topics[self._topic]
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(found.error)
        return len(found.partitions)

    def _produce_all(self, messages: Iterable[WireMessage], deliveries: _Deliveries) -> None:
        count = 0
        self._replace_dead()
        try:
            for message in messages:
                self._produce(message, deliveries)
                count += 1
            deliveries.expect(count)
        except KafkaException as refused:
            deliveries.fail(refused.args[0])
            if is_fatal(refused.args[0]):
                self._is_dead = True

    def _produce(self, message: WireMessage, deliveries: _Deliveries) -> None:
        while not self._stopping.is_set():
            try:
                self._client.produce(
                    self._topic,
                    message.value,
                    message.key,
                    message.partition,
                    on_delivery=deliveries.report,
                    headers=message.headers,
                )
            except BufferError:
                time.sleep(_FULL_SECONDS)  # the polling thread makes room
            else:
                return

    def _replace_dead(self) -> None:
        """In the thread that passes messages to the client."""
        if not self._is_dead:
            return
        dead, self._producer = self._client, self._make()
        self._is_dead = False
        dead.purge()
        with suppress(KafkaException):  # it reports its fatal error again; its messages fail
            dead.flush(_FLUSH_SECONDS)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            client = self._client
            try:
                client.poll(_POLL_SECONDS)
            except KafkaException as error:
                if is_fatal(error.args[0]) and client is self._producer:
                    self._is_dead = True
                logger.warning("Kafka's producer reported an error: %s", plain(error.args[0]))


_PRODUCER_SETTINGS: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 0,
    "compression.type": "lz4",
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "message.timeout.ms": 30_000,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 131_072,
    "topic.metadata.propagation.max.ms": 5_000,
}
_METADATA_SECONDS = 5.0


class KafkaPublisher:
    """Opening it does not need a broker; what is published waits for one, up to 30 s."""

    def __init__(self, connection: KafkaConnection, topic: str, metrics: Metrics) -> None:
        self._connection = connection
        self._topic = topic
        self._log = ClientLog("producer", connection.bootstrap_servers, metrics)
        self._producer = AsyncProducer(self._make, topic)

    async def __aenter__(self) -> Self:
        try:
            self._producer.open()
        except KafkaException as error:
            raise self._connection.refused(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.close()

    async def partitions(self) -> int:
        try:
            count = await self._producer.partitions(_METADATA_SECONDS)
        except KafkaException as error:
            raise self._connection.unavailable(error, self._topic, self._log.trouble) from error
        if not count:
            raise self._connection.no_topic(self._topic)
        return count

    async def publish(self, publication: Publication) -> int:
        try:
            return await self._producer.send(to_messages(publication))
        except DeliveryFailed as failure:
            raise self._connection.unavailable(failure.error, self._topic, self._log.trouble) from failure

    def _make(self) -> Producer:
        return Producer(
            {**self._connection.settings(), **_PRODUCER_SETTINGS, "error_cb": self._log.error}, logger=self._log
        )
