"""What librdkafka says of itself, brought to the log and the metrics without its repetitions."""

import logging
import time

from confluent_kafka import KafkaError

from adapters.kafka.trouble import Trouble
from application.ports.system import Metrics

logger = logging.getLogger(__name__)

_NOISE = ("FAIL", "REQTMOUT", "GETPID")
"""Every attempt to connect, every request in vain: `error` tells of the outage, once."""

_SECONDS_BETWEEN_REPEATS = 60.0


class ClientLog:
    """Of one client. librdkafka calls it in the threads that poll."""

    def __init__(self, client: str, bootstrap_servers: str, metrics: Metrics) -> None:
        self._client = client
        self._bootstrap_servers = bootstrap_servers
        self._metrics = metrics
        self._said_at: dict[str, float] = {}
        self.trouble = Trouble()

    def log(self, level: int, template: str, *values: object) -> None:
        """As a `logging.Logger`: the client's own lines, whose first value names their kind."""
        logger.log(logging.DEBUG if values[:1] and values[0] in _NOISE else level, template, *values)

    def error(self, error: KafkaError) -> None:
        """The client goes on trying by itself."""
        self.trouble.note(error)
        name = error.name()
        self._metrics.count("kafka_errors", client=self._client, code=name)
        now = time.monotonic()
        if now - self._said_at.get(name, -_SECONDS_BETWEEN_REPEATS) >= _SECONDS_BETWEEN_REPEATS:
            self._said_at[name] = now
            logger.warning(
                "Kafka's %s has trouble with bus.kafka.bootstrap_servers %s: %s",
                self._client,
                self._bootstrap_servers,
                error.str(),
            )
