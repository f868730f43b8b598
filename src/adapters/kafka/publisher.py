"""Publishes to a Kafka topic: idempotent, acknowledged by all replicas in sync."""

from typing import Any, Self

from confluent_kafka import KafkaException, Producer

from adapters.kafka.client_log import ClientLog
from adapters.kafka.connection import KafkaConnection
from adapters.kafka.producer_bridge import DeliveryFailed, ProducerBridge
from adapters.kafka.provisioning import MAX_MESSAGE_BYTES
from adapters.wire.cloudevents import to_messages
from application.ports.bus import Publication
from application.ports.system import Metrics

_SETTINGS: dict[str, Any] = {
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
        self._bridge = ProducerBridge(self._make, topic)

    async def __aenter__(self) -> Self:
        try:
            self._bridge.open()
        except KafkaException as error:
            raise self._connection.refused(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._bridge.close()

    async def partitions(self) -> int:
        try:
            count = await self._bridge.partitions(_METADATA_SECONDS)
        except KafkaException as error:
            raise self._connection.unavailable(error, self._topic, self._log.trouble) from error
        if not count:
            raise self._connection.no_topic(self._topic)
        return count

    async def publish(self, publication: Publication) -> int:
        try:
            return await self._bridge.send(to_messages(publication))
        except DeliveryFailed as failure:
            raise self._connection.unavailable(failure.error, self._topic, self._log.trouble) from failure

    def _make(self) -> Producer:
        return Producer({**self._connection.settings(), **_SETTINGS, "error_cb": self._log.error}, logger=self._log)
