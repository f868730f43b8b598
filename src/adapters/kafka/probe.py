"""Does Kafka answer, and is the topic there?"""

from confluent_kafka import KafkaException

from adapters.kafka.client_thread import on_thread
from adapters.kafka.connection import KafkaConnection
from adapters.kafka.topic_admin import quiet_admin
from application.ports.probes import ProbeResult

_SECONDS = 2.0


class KafkaProbe:
    name = "bus"

    def __init__(self, connection: KafkaConnection, topic: str) -> None:
        self._connection = connection
        self._topic = topic

    async def probe(self) -> ProbeResult:
        return await on_thread(self._ask)

    def _ask(self) -> ProbeResult:
        where = self._connection.bootstrap_servers
        try:
            found = quiet_admin(self._connection).list_topics(self._topic, timeout=_SECONDS).topics[self._topic]
        except KafkaException as error:
            reason = error.args[0].str()
            detail = f"Kafka at {where} (bus.kafka.bootstrap_servers) does not answer: {reason}. Is it running?"
            return ProbeResult(self.name, ok=False, detail=detail)
        if found.error is not None:
            return ProbeResult(self.name, ok=False, detail=self._connection.no_topic(self._topic).message)
        detail = f"Kafka at {where} answers; the topic {self._topic} has {len(found.partitions)} partitions."
        return ProbeResult(self.name, ok=True, detail=detail)
