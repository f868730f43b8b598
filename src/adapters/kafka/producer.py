"""Publishes to a Kafka topic: idempotent, acknowledged by all in-sync replicas.

`AsyncProducer` is a plain `Producer` for asyncio, with headers, which the client's own asynchronous producer rejects.
One thread passes messages to librdkafka and flushes them. What is published meanwhile waits, and goes together into the
next flush: a lone message is sent at once, and a busy relay sends large batches. librdkafka reports only failures,
since a Python call for each message takes half as long as sending it.
"""

import asyncio
import logging
import threading
from collections import deque
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


class _Call:
    """One call of `send`; `done` belongs to the event loop, everything else to the thread."""

    def __init__(self, messages: Iterable[WireMessage]) -> None:
        self.messages = messages
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.count = 0
        self._error: Exception | None = None

    def report(self, error: KafkaError | None, _: Message) -> None:
        """As librdkafka calls it."""
        if error is not None:
            self.fail(DeliveryFailed(error))

    def fail(self, error: Exception) -> None:
        """The first error counts."""
        self._error = self._error or error

    def end(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for the outcome
            self.done.get_loop().call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if self.done.done():
            return
        if self._error is None:
            self.done.set_result(self.count)
        else:
            self.done.set_exception(self._error)


class AsyncProducer:
    """`make` returns a producer with `SENDING`. It is called again after a fatal error, since that producer sends
    nothing more."""

    def __init__(self, make: Callable[[], Producer], topic: str) -> None:
        self._make = make
        self._topic = topic
        self._thread = DaemonThreadPool("kafka-producer", 1)
        self._metadata_thread = DaemonThreadPool("kafka-producer-metadata", 1)
        self._waiting: deque[_Call] = deque()
        self._polling = threading.Lock()
        """Held while messages are sent: a report that another thread takes would not wake the flush."""
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
        await self._metadata_thread.close(0)

    async def send(self, messages: Iterable[WireMessage]) -> int:
        """Returns how many there were, once all are acknowledged. Calls are executed in their order. Raises
        `DeliveryFailed`."""
        call = _Call(messages)
        self._waiting.append(call)
        self._thread.submit(self._send_waiting)
        return await call.done

    async def partitions(self, timeout: float) -> int:
        """0 when there is no such topic. Raises `KafkaException` when no broker answers."""
        return await self._metadata_thread.run(lambda: self._count_partitions(timeout))

    @property
    def _client(self) -> Producer:
        if self._producer is None:
            raise RuntimeError("the producer is not open")
        return self._producer

    def _count_partitions(self, timeout: float) -> int:
        found = self._client.list_topics(self._topic, timeout).topics[self._topic]
        if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(found.error)
        return len(found.partitions)

    def _send_waiting(self) -> None:
        """Everything that waits, so that the submissions of all these calls but the first find nothing to do."""
        calls: list[_Call] = []
        while self._waiting:
            call = self._waiting.popleft()
            if not call.done.cancelled():
                calls.append(call)
        if not calls:
            return
        with self._polling:
            try:
                self._replace_dead()
                for call in calls:
                    self._produce_all(call)
                self._flush()
            except Exception as error:  # it belongs to the callers, who get it
                for call in calls:
                    call.fail(self._failure(error))
        for call in calls:
            call.end()

    def _produce_all(self, call: _Call) -> None:
        """One loop without a call of Python for each message: it holds the interpreter's lock for most of the time that
        a relay needs."""
        client, topic, report, is_stopping = self._client, self._topic, call.report, self._stopping.is_set
        try:
            for partition, key, value, headers in call.messages:
                while not is_stopping():
                    try:
                        client.produce(topic, value, key, partition, on_delivery=report, headers=headers)
                    except BufferError:
                        client.flush(_FULL_SECONDS)  # makes room; a poll would wait for `linger.ms`
                    else:
                        break
                call.count += 1
        except Exception as error:  # it belongs to this caller; the others' messages are sent
            call.fail(self._failure(error))

    def _failure(self, error: Exception) -> Exception:
        if not isinstance(error, KafkaException):
            return error
        self._is_dead = self._is_dead or is_fatal(error.args[0])
        return DeliveryFailed(error.args[0])

    def _flush(self) -> None:
        """Messages that the brokers never acknowledge fail after `message.timeout.ms`."""
        while self._client.flush(_POLL_SECONDS):
            if self._stopping.is_set():
                raise KafkaException(KafkaError(KafkaError._PURGE_QUEUE))  # noqa: SLF001 - the client's own code

    def _replace_dead(self) -> None:
        if not self._is_dead:
            return
        dead, self._producer = self._client, self._make()
        self._is_dead = False
        dead.purge()
        with suppress(KafkaException):  # it reports its fatal error again; its messages fail
            dead.flush(_FLUSH_SECONDS)

    def _poll(self) -> None:
        """Errors of connections are reported while nothing is sent, too."""
        while not self._stopping.wait(_POLL_SECONDS):
            with self._polling:
                try:
                    self._client.poll(0)
                except KafkaException as error:
                    self._failure(error)
                    logger.warning("Kafka's producer reported an error: %s", plain(error.args[0]))


SENDING: dict[str, Any] = {
    # A flush does not wait for it. Without one only full batches are sent: while a partition has a request in flight,
    # librdkafka's thread does not sleep as long as more of its messages have waited for `linger.ms`.
    "linger.ms": 1_000,
    "delivery.report.only.error": True,
}
_PRODUCER_SETTINGS: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    **SENDING,
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
